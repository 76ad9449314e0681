//! Loads the model of SCOUT_MODEL, streams, cancels, and frees handles in an order that a host may
//! come to by accident.
use scout_sys::*;
use std::ffi::{c_void, CStr, CString};
use std::ptr::{null, null_mut};

fn check(status: scout_status, error: *mut scout_error) {
    if status == SCOUT_OK {
        assert!(error.is_null());
        return;
    }
    let text = unsafe { CStr::from_ptr(scout_error_message(error)) }.to_string_lossy().into_owned();
    unsafe { scout_error_free(error) };
    panic!("status {status}: {text}");
}

struct Handles {
    model: *mut scout_model,
    engine: *mut scout_engine,
    session: *mut scout_session,
    tokenizer: *mut scout_tokenizer,
}

unsafe fn open() -> Handles {
    let path = CString::new(std::env::var("SCOUT_MODEL").expect("SCOUT_MODEL names a model")).unwrap();
    let mut error = null_mut();
    let mut h = Handles { model: null_mut(), engine: null_mut(), session: null_mut(), tokenizer: null_mut() };
    check(scout_model_load(path.as_ptr(), null(), &mut h.model, &mut error), error);
    check(scout_model_tokenizer(h.model, &mut h.tokenizer, &mut error), error);
    let mut options: scout_engine_options = std::mem::zeroed();
    scout_engine_options_init(&mut options);
    options.n_threads = 1;
    options.max_step_tokens = 16;
    check(scout_engine_create(h.model, &options, &mut h.engine, &mut error), error);
    check(scout_session_create(h.engine, null(), &mut h.session, &mut error), error);
    h
}

unsafe fn chat(tokenizer: *const scout_tokenizer, question: &str) -> Vec<i32> {
    let role = CString::new("user").unwrap();
    let message = scout_chat_message {
        struct_size: std::mem::size_of::<scout_chat_message>() as u32,
        role: role.as_ptr(),
        content: question.as_ptr().cast(),
        content_bytes: question.len() as i64,
        ..std::mem::zeroed()
    };
    let mut options: scout_chat_options = std::mem::zeroed();
    scout_chat_options_init(&mut options);
    options.messages = &message;
    options.n_messages = 1;
    let mut ids = vec![0i32; question.len() + 64];
    let (mut count, mut error) = (0i64, null_mut());
    check(
        scout_tokenizer_chat(tokenizer, &options, ids.as_mut_ptr(), ids.len() as i64, &mut count, &mut error),
        error,
    );
    ids.truncate(count as usize);
    ids
}

#[test]
fn streams_an_answer() {
    unsafe {
        let h = open();
        let mut error = null_mut();
        let ids = chat(h.tokenizer, "What is the capital of France?");
        check(
            scout_session_prefill(h.session, ids.as_ptr(), ids.len() as i64, null(), null_mut(), &mut error),
            error,
        );
        let mut detokenizer = null_mut();
        check(
            scout_detokenizer_create(h.tokenizer, SCOUT_DECODE_SKIP_SPECIAL as u32, &mut detokenizer, &mut error),
            error,
        );
        // Children keep their parents alive: from here on only the session and the tokenizer are used.
        scout_model_free(h.model);
        scout_engine_free(h.engine);
        let mut answer = Vec::new();
        for _ in 0..64 {
            let mut token = -1;
            check(scout_session_decode(h.session, null(), &mut token, &mut error), error);
            if scout_tokenizer_is_end(h.tokenizer, token) == 1 {
                break;
            }
            let (mut text, mut bytes) = (null(), 0i64);
            check(scout_detokenizer_push(detokenizer, token, &mut text, &mut bytes, &mut error), error);
            answer.extend_from_slice(std::slice::from_raw_parts(text.cast::<u8>(), bytes as usize));
        }
        assert_eq!(String::from_utf8(answer).unwrap(), "The capital of France is Paris.");
        scout_tokenizer_free(h.tokenizer);
        scout_session_free(h.session);
        scout_detokenizer_free(detokenizer);
    }
}

unsafe fn next_event(job: *mut scout_job) -> scout_event {
    let mut event: scout_event = std::mem::zeroed();
    event.struct_size = std::mem::size_of::<scout_event>() as u32;
    let mut error = null_mut();
    check(scout_job_poll(job, -1, &mut event, &mut error), error);
    event
}

#[test]
fn a_job_streams_after_its_parents_are_freed() {
    unsafe {
        let h = open();
        let ids = chat(h.tokenizer, "What is the capital of France?");
        let (mut job, mut error) = (null_mut(), null_mut());
        check(
            scout_job_submit(h.session, ids.as_ptr(), ids.len() as i64, null(), &mut job, &mut error),
            error,
        );
        scout_engine_free(h.engine);
        scout_session_free(h.session);
        scout_model_free(h.model);
        scout_tokenizer_free(h.tokenizer);
        let mut answer = Vec::new();
        let last = loop {
            let event = next_event(job);
            if event.kind == SCOUT_EVENT_TOKEN || event.kind == SCOUT_EVENT_DONE {
                answer.extend_from_slice(std::slice::from_raw_parts(
                    event.text.cast::<u8>(),
                    event.text_bytes as usize,
                ));
            }
            if event.kind == SCOUT_EVENT_DONE {
                break event;
            }
            assert_ne!(event.kind, SCOUT_EVENT_ERROR);
        };
        assert_eq!(last.reason, SCOUT_DONE_END_TOKEN);
        assert_eq!(String::from_utf8(answer).unwrap(), "The capital of France is Paris.");
        scout_job_free(job);
    }
}

#[test]
fn a_job_is_cancelled_from_another_thread() {
    unsafe {
        let h = open();
        let mut options: scout_job_options = std::mem::zeroed();
        scout_job_options_init(&mut options);
        options.flags = SCOUT_JOB_IGNORE_END as u32;
        let ids = [5i32; 50];
        let (mut job, mut error) = (null_mut(), null_mut());
        check(scout_job_submit(h.session, ids.as_ptr(), 50, &options, &mut job, &mut error), error);
        while next_event(job).kind != SCOUT_EVENT_TOKEN {}
        assert_eq!(scout_session_rewind(h.session, 0, null_mut()), SCOUT_BUSY);
        let shared = job as usize;
        std::thread::spawn(move || assert_eq!(scout_job_cancel(shared as *mut scout_job, null_mut()), SCOUT_OK))
            .join()
            .unwrap();
        let last = loop {
            let event = next_event(job);
            if event.kind == SCOUT_EVENT_DONE {
                break event;
            }
        };
        assert_eq!(last.reason, SCOUT_DONE_CANCELLED);
        scout_job_free(job);
        check(scout_session_rewind(h.session, 0, &mut error), error);
        scout_session_free(h.session);
        scout_tokenizer_free(h.tokenizer);
        scout_engine_free(h.engine);
        scout_model_free(h.model);
    }
}

unsafe extern "C" fn stop_at_second(user: *mut c_void, _done: i64, _total: i64) -> i32 {
    let calls = user.cast::<i32>();
    *calls += 1;
    (*calls == 2) as i32
}

#[test]
fn cancels_a_prefill_and_goes_on() {
    unsafe {
        let h = open();
        let ids = vec![5i32; 100];
        let mut calls = 0i32;
        let mut options: scout_prefill_options = std::mem::zeroed();
        scout_prefill_options_init(&mut options);
        options.progress = Some(stop_at_second);
        options.progress_user = (&mut calls as *mut i32).cast();
        let mut error = null_mut();
        let status = scout_session_prefill(h.session, ids.as_ptr(), 100, &options, null_mut(), &mut error);
        assert_eq!(status, SCOUT_CANCELLED);
        assert_eq!(scout_error_code(error), SCOUT_CANCELLED);
        scout_error_free(error);
        assert_eq!(scout_session_position(h.session), 32);
        check(scout_session_sync(h.session, ids.as_ptr(), 100, null(), null_mut(), &mut error), error);
        assert_eq!(scout_session_position(h.session), 100);
        scout_engine_free(h.engine);
        scout_session_free(h.session);
        scout_model_free(h.model);
        scout_tokenizer_free(h.tokenizer);
    }
}

#[test]
fn sessions_move_between_threads() {
    unsafe {
        let h = open();
        let session = h.session as usize;
        let worker = std::thread::spawn(move || {
            let session = session as *mut scout_session;
            let ids = [5i32, 6, 7];
            let mut error = null_mut();
            check(scout_session_prefill(session, ids.as_ptr(), 3, null(), null_mut(), &mut error), error);
            let position = scout_session_position(session);
            scout_session_free(session);
            position
        });
        scout_model_free(h.model);
        scout_engine_free(h.engine);
        scout_tokenizer_free(h.tokenizer);
        assert_eq!(worker.join().unwrap(), 3);
    }
}
