//! ask MODEL QUESTION: streams the answer as the events of a job. See examples/c/ask.c for the same
//! with synchronous calls.
use scout_sys::*;
use std::ffi::{CStr, CString};
use std::io::Write;
use std::mem::{size_of, zeroed};
use std::ptr::{null, null_mut};

/// The error as text, freed.
unsafe fn text_of(error: *mut scout_error) -> String {
    let text = CStr::from_ptr(scout_error_message(error)).to_string_lossy().into_owned();
    scout_error_free(error);
    text
}

unsafe fn answer(session: *mut scout_session, question: &CStr) -> Result<(), String> {
    let mut message: scout_chat_message = zeroed();
    scout_chat_message_init(&mut message);
    message.role = c"user".as_ptr();
    message.content = question.as_ptr();
    let mut chat: scout_chat_options = zeroed();
    scout_chat_options_init(&mut chat);
    chat.messages = &message;
    chat.n_messages = 1;
    let (mut job, mut error) = (null_mut(), null_mut());
    if scout_job_submit_chat(session, &chat, null(), &mut job, &mut error) != SCOUT_OK {
        return Err(text_of(error));
    }
    let mut event: scout_event = zeroed();
    event.struct_size = size_of::<scout_event>() as u32;
    let result = loop {
        if scout_job_poll(job, -1, &mut event, &mut error) != SCOUT_OK {
            break Err(text_of(error));
        }
        if event.kind == SCOUT_EVENT_ERROR {
            // The error is the event's and goes with the job.
            let message = scout_error_message(event.error);
            break Err(CStr::from_ptr(message).to_string_lossy().into_owned());
        }
        if event.text_bytes > 0 {
            print!("{}", CStr::from_ptr(event.text).to_string_lossy());
            std::io::stdout().flush().map_err(|e| e.to_string())?;
        }
        if event.kind == SCOUT_EVENT_DONE {
            println!();
            break Ok(());
        }
    };
    scout_job_free(job);
    result
}

unsafe fn run(model_path: &CStr, question: &CStr) -> Result<(), String> {
    let (mut model, mut engine, mut session, mut error) =
        (null_mut(), null_mut(), null_mut(), null_mut());
    let opened = scout_model_load(model_path.as_ptr(), null(), &mut model, &mut error) == SCOUT_OK
        && scout_engine_create(model, null(), &mut engine, &mut error) == SCOUT_OK
        && scout_session_create(engine, null(), &mut session, &mut error) == SCOUT_OK;
    let result = if opened { answer(session, question) } else { Err(text_of(error)) };
    // In any order; each accepts null.
    scout_model_free(model);
    scout_engine_free(engine);
    scout_session_free(session);
    result
}

fn main() {
    let arguments: Vec<CString> =
        std::env::args().skip(1).map(|a| CString::new(a).unwrap_or_default()).collect();
    let [model, question] = &arguments[..] else {
        eprintln!("usage: ask MODEL QUESTION");
        std::process::exit(2);
    };
    if let Err(text) = unsafe { run(model, question) } {
        eprintln!("ask: {text}");
        std::process::exit(1);
    }
}
