//! The suite: plain functions over a [`Fixture`], which speak only the traits
//! of `storage`. A case that is not in the list below does not compile.
//!
//! [`Fixture`]: super::fixture::Fixture

pub mod accept;
pub mod attempts;
pub mod catalog;
pub mod erasure;
pub mod keys;
pub mod lists;
pub mod positions;
pub mod queue;
pub mod replays;
pub mod retention;
pub mod stats;
pub mod together;
pub mod transfer;
pub mod whole;

/// Makes a test of every case; the expression begins a store for one, as a
/// future of a `Fixture`.
macro_rules! run_suite {
    ($fixture:expr) => {
        #[test]
        fn random_calls_leave_it_as_the_model_says() {
            $crate::storage::model::agrees(|| {
                Box::pin(async {
                    let store = $fixture.await;
                    Box::new(store) as Box<dyn $crate::storage::fixture::Fixture>
                })
            });
        }

        $crate::storage::suite::cases! { $fixture;
            accept {
                an_accepted_event_is_there_after_a_restart,
                a_payload_of_any_size_keeps_its_bytes,
                an_event_to_thousands_of_subscriptions_reads_back,
                a_repeated_key_is_answered_with_the_first_event,
                a_repeated_key_within_a_call_is_a_duplicate,
                a_key_is_remembered_for_seven_days,
                a_key_with_other_content_refuses_the_whole_call,
                events_routed_by_an_older_version_are_refused,
                another_tenant_sees_nothing,
            }
            attempts {
                a_recorded_attempt_moves_its_delivery_and_is_logged,
                a_large_answer_reads_back_whole,
                an_attempt_that_comes_late_is_logged_and_decides_nothing,
                two_attempts_of_a_delivery_in_one_call_both_count,
                an_attempt_of_a_delivery_that_is_gone_is_dropped,
                the_log_over_days_and_restarts_has_no_gap_and_no_repeat,
                the_log_can_be_read_from_a_time,
                a_delivery_under_way_reads_as_delivering,
            }
            catalog {
                a_subscription_reads_back_after_a_restart,
                a_repeated_request_returns_what_it_created_for_seven_days,
                a_subscription_changes_only_from_the_version_that_was_read,
                a_deleted_subscription_is_gone_and_its_deliveries_read_as_cancelled,
                subscriptions_list_newest_first,
                no_more_subscriptions_are_created_than_there_may_be,
            }
            erasure {
                an_erased_event_keeps_its_skeleton_and_nothing_else,
                nothing_that_was_erased_is_sent_again,
                an_attempt_under_way_while_its_event_is_erased_is_logged_without_content,
                a_subscription_is_erased_with_what_it_alone_got,
                a_time_range_is_erased_over_the_days_and_no_further,
                what_is_not_there_or_anothers_is_not_erased,
                the_key_of_an_erased_event_is_still_remembered,
                a_copy_is_erased_where_its_source_is,
            }
            keys {
                a_key_reads_back_after_a_restart,
                keys_list_newest_first_for_their_holder_alone,
                a_key_is_revoked_once_and_by_its_holder_alone,
                a_copy_has_the_same_keys,
            }
            lists {
                deliveries_list_newest_first_by_every_way,
                a_time_range_holds_its_start_and_not_its_end,
                filters_look_at_the_shown_state_and_the_last_outcome,
                a_list_goes_on_where_it_was_under_writes,
                attempts_list_by_delivery_newest_first,
                a_page_ends_when_it_is_large_whatever_makes_it_so,
                what_is_rare_is_found_behind_many_others,
            }
            queue {
                a_queue_is_ordered_by_due_time_over_the_days,
                every_subscription_with_work_is_found_once,
                a_hint_carries_the_event_before_the_write_is_answered,
                a_retry_by_hand_is_due_at_once_and_told,
                a_cancelled_delivery_leaves_the_queue_and_cannot_be_cancelled_again,
                pending_deliveries_are_cancelled_a_bounded_number_at_a_time,
                pending_deliveries_of_a_tenant_are_counted_up_to_a_bound,
                the_earliest_unsettled_delivery_of_the_same_key_is_ahead,
                what_is_settled_is_ahead_again_once_it_is_retried,
                a_copy_keeps_what_is_ahead,
            }
            replays {
                each_mode_begins_its_own_deliveries,
                an_added_delivery_reads_like_any_other,
                a_step_that_is_repeated_begins_nothing_twice,
                a_replay_ends_once,
                a_replay_to_a_deleted_subscription_begins_nothing,
                a_replay_goes_by_types_and_times,
            }
            retention {
                an_expired_day_goes_and_the_rest_stays,
                a_day_with_a_pending_delivery_is_kept_until_it_is_settled,
                what_expired_of_a_tenant_goes_but_what_is_due,
                a_reader_of_the_log_is_told_of_the_attempts_it_missed,
            }
            stats {
                attempts_are_summed_by_whatever_is_asked_for,
                a_time_range_holds_the_attempts_that_began_in_it,
                what_is_not_recorded_is_not_counted,
                no_more_groups_are_returned_than_are_asked_for,
                counts_survive_a_crash_with_their_attempts,
                counts_go_with_their_attempts,
                a_copy_counts_the_same_however_often_it_is_made,
            }
            together {
                many_callers_lose_nothing_and_hints_come_in_order,
                something_is_ahead_while_those_before_it_are_settled,
            }
            transfer {
                what_was_exported_and_imported_reads_the_same,
                a_chunk_that_is_imported_twice_changes_nothing,
                an_export_of_any_size_of_chunks_holds_everything_once,
                a_copy_goes_on_after_a_crash_wherever_it_was,
                a_copy_into_anything_else_is_refused,
                what_retention_removed_is_known_to_the_copy,
            }
            positions {
                positions_below_their_times_are_found_by_these,
                positions_above_their_times_are_found_by_these,
            }
            whole {
                a_closed_store_takes_nothing,
                what_was_acknowledged_survives_a_crash,
            }
        }
    };
}

/// A module for each area, a test for each case.
macro_rules! cases {
    ($fixture:expr; $($area:ident { $($case:ident,)+ })+) => {
        $(mod $area {
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let mut store = $fixture.await;
                    $crate::storage::suite::$area::$case(&mut store).await;
                }
            )+
        })+
    };
}

pub(crate) use {cases, run_suite};
