// Layout of every public struct: what a caller compiled against 0.9 passes, for 64-bit targets.
// SPDX-License-Identifier: Apache-2.0
// A struct may only grow at its end; a change of a line here is a change of the ABI.
#include <gtest/gtest.h>

#include <cstddef>

#include "scout.h"

static_assert(sizeof(void*) == 8);

#define SCOUT_SIZE(type, bytes) static_assert(sizeof(type) == (bytes))
#define SCOUT_AT(type, field, offset) static_assert(offsetof(type, field) == (offset))

// scout_model_options
SCOUT_SIZE(scout_model_options, 136);
SCOUT_AT(scout_model_options, struct_size, 0);
SCOUT_AT(scout_model_options, flags, 4);
SCOUT_AT(scout_model_options, progress, 8);
SCOUT_AT(scout_model_options, progress_user, 16);
SCOUT_AT(scout_model_options, log, 24);
SCOUT_AT(scout_model_options, log_user, 32);
SCOUT_AT(scout_model_options, log_level, 40);
SCOUT_AT(scout_model_options, temperature_tuning, 44);
SCOUT_AT(scout_model_options, attention_chunk, 48);
SCOUT_AT(scout_model_options, temperature_scale, 56);
SCOUT_AT(scout_model_options, temperature_floor, 64);
SCOUT_AT(scout_model_options, rope_theta, 72);
SCOUT_AT(scout_model_options, rope_scaling, 80);
SCOUT_AT(scout_model_options, reserved, 84);
SCOUT_AT(scout_model_options, rope_factor, 88);
SCOUT_AT(scout_model_options, rope_low_freq_factor, 96);
SCOUT_AT(scout_model_options, rope_high_freq_factor, 104);
SCOUT_AT(scout_model_options, rope_original_context, 112);
SCOUT_AT(scout_model_options, cache_dir, 120);
SCOUT_AT(scout_model_options, n_threads, 128);

// scout_model_info
SCOUT_SIZE(scout_model_info, 88);
SCOUT_AT(scout_model_info, struct_size, 0);
SCOUT_AT(scout_model_info, n_layers, 4);
SCOUT_AT(scout_model_info, n_global_layers, 8);
SCOUT_AT(scout_model_info, n_moe_layers, 12);
SCOUT_AT(scout_model_info, n_experts, 16);
SCOUT_AT(scout_model_info, n_experts_used, 20);
SCOUT_AT(scout_model_info, n_heads, 24);
SCOUT_AT(scout_model_info, n_kv_heads, 28);
SCOUT_AT(scout_model_info, head_dim, 32);
SCOUT_AT(scout_model_info, has_tokenizer, 36);
SCOUT_AT(scout_model_info, hidden_size, 40);
SCOUT_AT(scout_model_info, vocab_size, 48);
SCOUT_AT(scout_model_info, context_length, 56);
SCOUT_AT(scout_model_info, attention_chunk, 64);
SCOUT_AT(scout_model_info, n_parameters, 72);
SCOUT_AT(scout_model_info, weight_bytes, 80);

// scout_tool_call
SCOUT_SIZE(scout_tool_call, 32);
SCOUT_AT(scout_tool_call, struct_size, 0);
SCOUT_AT(scout_tool_call, reserved, 4);
SCOUT_AT(scout_tool_call, name, 8);
SCOUT_AT(scout_tool_call, arguments, 16);
SCOUT_AT(scout_tool_call, arguments_bytes, 24);

// scout_chat_message
SCOUT_SIZE(scout_chat_message, 48);
SCOUT_AT(scout_chat_message, struct_size, 0);
SCOUT_AT(scout_chat_message, end, 4);
SCOUT_AT(scout_chat_message, role, 8);
SCOUT_AT(scout_chat_message, content, 16);
SCOUT_AT(scout_chat_message, content_bytes, 24);
SCOUT_AT(scout_chat_message, tool_calls, 32);
SCOUT_AT(scout_chat_message, n_tool_calls, 40);

// scout_chat_options
SCOUT_SIZE(scout_chat_options, 48);
SCOUT_AT(scout_chat_options, struct_size, 0);
SCOUT_AT(scout_chat_options, add_generation_prompt, 4);
SCOUT_AT(scout_chat_options, messages, 8);
SCOUT_AT(scout_chat_options, n_messages, 16);
SCOUT_AT(scout_chat_options, tools, 24);
SCOUT_AT(scout_chat_options, tools_bytes, 32);
SCOUT_AT(scout_chat_options, tool_style, 40);
SCOUT_AT(scout_chat_options, tools_place, 44);

// scout_tool_parser_options
SCOUT_SIZE(scout_tool_parser_options, 40);
SCOUT_AT(scout_tool_parser_options, struct_size, 0);
SCOUT_AT(scout_tool_parser_options, flags, 4);
SCOUT_AT(scout_tool_parser_options, tools, 8);
SCOUT_AT(scout_tool_parser_options, tools_bytes, 16);
SCOUT_AT(scout_tool_parser_options, max_call_bytes, 24);
SCOUT_AT(scout_tool_parser_options, max_depth, 32);
SCOUT_AT(scout_tool_parser_options, reserved, 36);

// scout_tool_event
SCOUT_SIZE(scout_tool_event, 48);
SCOUT_AT(scout_tool_event, struct_size, 0);
SCOUT_AT(scout_tool_event, kind, 4);
SCOUT_AT(scout_tool_event, index, 8);
SCOUT_AT(scout_tool_event, name, 16);
SCOUT_AT(scout_tool_event, text, 24);
SCOUT_AT(scout_tool_event, text_bytes, 32);
SCOUT_AT(scout_tool_event, reason, 40);

// scout_engine_options
SCOUT_SIZE(scout_engine_options, 80);
SCOUT_AT(scout_engine_options, struct_size, 0);
SCOUT_AT(scout_engine_options, mode, 4);
SCOUT_AT(scout_engine_options, backend, 8);
SCOUT_AT(scout_engine_options, isa, 12);
SCOUT_AT(scout_engine_options, kv_format, 16);
SCOUT_AT(scout_engine_options, n_threads, 20);
SCOUT_AT(scout_engine_options, kv_tokens, 24);
SCOUT_AT(scout_engine_options, page_tokens, 32);
SCOUT_AT(scout_engine_options, max_step_tokens, 36);
SCOUT_AT(scout_engine_options, log, 40);
SCOUT_AT(scout_engine_options, log_user, 48);
SCOUT_AT(scout_engine_options, log_level, 56);
SCOUT_AT(scout_engine_options, max_sessions, 60);
SCOUT_AT(scout_engine_options, max_jobs, 64);
SCOUT_AT(scout_engine_options, max_mixed_tokens, 68);
SCOUT_AT(scout_engine_options, log_release, 72);

// scout_engine_stats
SCOUT_SIZE(scout_engine_stats, 400);
SCOUT_AT(scout_engine_stats, struct_size, 0);
SCOUT_AT(scout_engine_stats, n_threads, 4);
SCOUT_AT(scout_engine_stats, kv_pages_total, 8);
SCOUT_AT(scout_engine_stats, kv_pages_used, 16);
SCOUT_AT(scout_engine_stats, kv_pages_reserved, 24);
SCOUT_AT(scout_engine_stats, kv_page_bytes, 32);
SCOUT_AT(scout_engine_stats, tokens_computed, 40);
SCOUT_AT(scout_engine_stats, flops, 48);
SCOUT_AT(scout_engine_stats, expert_rows, 56);
SCOUT_AT(scout_engine_stats, expert_groups, 64);
SCOUT_AT(scout_engine_stats, backend, 72);
SCOUT_AT(scout_engine_stats, isa, 96);
SCOUT_AT(scout_engine_stats, jobs_queued, 120);
SCOUT_AT(scout_engine_stats, jobs_running, 128);
SCOUT_AT(scout_engine_stats, jobs_paused, 136);
SCOUT_AT(scout_engine_stats, jobs_submitted, 144);
SCOUT_AT(scout_engine_stats, jobs_refused, 152);
SCOUT_AT(scout_engine_stats, jobs_failed, 160);
SCOUT_AT(scout_engine_stats, jobs_done, 168);
SCOUT_AT(scout_engine_stats, tokens_prefilled, 232);
SCOUT_AT(scout_engine_stats, tokens_decoded, 240);
SCOUT_AT(scout_engine_stats, steps, 248);
SCOUT_AT(scout_engine_stats, steps_by_rows, 256);
SCOUT_AT(scout_engine_stats, seconds_embedding, 352);
SCOUT_AT(scout_engine_stats, seconds_attention, 360);
SCOUT_AT(scout_engine_stats, seconds_ffn, 368);
SCOUT_AT(scout_engine_stats, seconds_head, 376);
SCOUT_AT(scout_engine_stats, seconds_sampling, 384);
SCOUT_AT(scout_engine_stats, seconds_longest_look, 392);

// scout_session_options
SCOUT_SIZE(scout_session_options, 16);
SCOUT_AT(scout_session_options, struct_size, 0);
SCOUT_AT(scout_session_options, reserved, 4);
SCOUT_AT(scout_session_options, max_tokens, 8);

// scout_prefill_options
SCOUT_SIZE(scout_prefill_options, 56);
SCOUT_AT(scout_prefill_options, struct_size, 0);
SCOUT_AT(scout_prefill_options, reserved, 4);
SCOUT_AT(scout_prefill_options, progress, 8);
SCOUT_AT(scout_prefill_options, progress_user, 16);
SCOUT_AT(scout_prefill_options, logit_rows, 24);
SCOUT_AT(scout_prefill_options, n_logit_rows, 32);
SCOUT_AT(scout_prefill_options, logits, 40);
SCOUT_AT(scout_prefill_options, logits_capacity, 48);

// scout_sync_result
SCOUT_SIZE(scout_sync_result, 32);
SCOUT_AT(scout_sync_result, struct_size, 0);
SCOUT_AT(scout_sync_result, reserved, 4);
SCOUT_AT(scout_sync_result, kept, 8);
SCOUT_AT(scout_sync_result, dropped, 16);
SCOUT_AT(scout_sync_result, computed, 24);

// scout_sampling_options
SCOUT_SIZE(scout_sampling_options, 80);
SCOUT_AT(scout_sampling_options, struct_size, 0);
SCOUT_AT(scout_sampling_options, top_k, 4);
SCOUT_AT(scout_sampling_options, temperature, 8);
SCOUT_AT(scout_sampling_options, top_p, 12);
SCOUT_AT(scout_sampling_options, min_p, 16);
SCOUT_AT(scout_sampling_options, reserved, 20);
SCOUT_AT(scout_sampling_options, seed, 24);
SCOUT_AT(scout_sampling_options, repetition_penalty, 32);
SCOUT_AT(scout_sampling_options, frequency_penalty, 36);
SCOUT_AT(scout_sampling_options, presence_penalty, 40);
SCOUT_AT(scout_sampling_options, reserved2, 44);
SCOUT_AT(scout_sampling_options, penalty_window, 48);
SCOUT_AT(scout_sampling_options, answer_start, 56);
SCOUT_AT(scout_sampling_options, logit_bias, 64);
SCOUT_AT(scout_sampling_options, n_logit_bias, 72);

// scout_logit_bias
SCOUT_SIZE(scout_logit_bias, 8);
SCOUT_AT(scout_logit_bias, token, 0);
SCOUT_AT(scout_logit_bias, bias, 4);

// scout_job_options
SCOUT_SIZE(scout_job_options, 96);
SCOUT_AT(scout_job_options, struct_size, 0);
SCOUT_AT(scout_job_options, flags, 4);
SCOUT_AT(scout_job_options, max_new_tokens, 8);
SCOUT_AT(scout_job_options, sampling, 16);
SCOUT_AT(scout_job_options, stop_tokens, 24);
SCOUT_AT(scout_job_options, n_stop_tokens, 32);
SCOUT_AT(scout_job_options, stop_strings, 40);
SCOUT_AT(scout_job_options, n_stop_strings, 48);
SCOUT_AT(scout_job_options, logit_rows, 56);
SCOUT_AT(scout_job_options, n_logit_rows, 64);
SCOUT_AT(scout_job_options, top_logprobs, 72);
SCOUT_AT(scout_job_options, priority, 76);
SCOUT_AT(scout_job_options, deadline_ms, 80);
SCOUT_AT(scout_job_options, event_capacity, 88);

// scout_event
SCOUT_SIZE(scout_event, 168);
SCOUT_AT(scout_event, struct_size, 0);
SCOUT_AT(scout_event, kind, 4);
SCOUT_AT(scout_event, token, 8);
SCOUT_AT(scout_event, reason, 12);
SCOUT_AT(scout_event, stop_index, 16);
SCOUT_AT(scout_event, n_top, 20);
SCOUT_AT(scout_event, top_tokens, 24);
SCOUT_AT(scout_event, top_logprobs, 32);
SCOUT_AT(scout_event, logprob, 40);
SCOUT_AT(scout_event, reserved, 44);
SCOUT_AT(scout_event, position, 48);
SCOUT_AT(scout_event, text, 56);
SCOUT_AT(scout_event, text_bytes, 64);
SCOUT_AT(scout_event, logits, 72);
SCOUT_AT(scout_event, done, 80);
SCOUT_AT(scout_event, total, 88);
SCOUT_AT(scout_event, seconds_left, 96);
SCOUT_AT(scout_event, error, 104);
SCOUT_AT(scout_event, kept, 112);
SCOUT_AT(scout_event, dropped, 120);
SCOUT_AT(scout_event, computed, 128);
SCOUT_AT(scout_event, generated, 136);
SCOUT_AT(scout_event, seconds_queued, 144);
SCOUT_AT(scout_event, seconds_prefill, 152);
SCOUT_AT(scout_event, seconds_decode, 160);

// What the initialisers write is what the header says.
TEST(Layout, InitialisersSetStructSize) {
  scout_model_options model;
  scout_model_options_init(&model);
  EXPECT_EQ(model.struct_size, sizeof(model));
  scout_engine_options engine;
  scout_engine_options_init(&engine);
  EXPECT_EQ(engine.struct_size, sizeof(engine));
  scout_session_options session;
  scout_session_options_init(&session);
  EXPECT_EQ(session.struct_size, sizeof(session));
  scout_prefill_options prefill;
  scout_prefill_options_init(&prefill);
  EXPECT_EQ(prefill.struct_size, sizeof(prefill));
  scout_sampling_options sampling;
  scout_sampling_options_init(&sampling);
  EXPECT_EQ(sampling.struct_size, sizeof(sampling));
  scout_chat_message message;
  scout_chat_message_init(&message);
  EXPECT_EQ(message.struct_size, sizeof(message));
  scout_tool_call call;
  scout_tool_call_init(&call);
  EXPECT_EQ(call.struct_size, sizeof(call));
  scout_job_options job;
  scout_job_options_init(&job);
  EXPECT_EQ(job.struct_size, sizeof(job));
}

TEST(Layout, VersionMatchesHeader) {
  EXPECT_EQ(scout_version(),
            SCOUT_VERSION_MAJOR * 1000000u + SCOUT_VERSION_MINOR * 1000u + SCOUT_VERSION_PATCH);
}
