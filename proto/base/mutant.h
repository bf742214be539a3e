#pragma once

/// Planted bugs. A mutant is a bug that somebody has had, or might well have, kept in its place
/// behind a condition: `mutant(Mutant::m20_unsynced_ack)`. docs/verification.md says how soon each
/// is noticed. In every build but one the condition is the constant false, and no object has
/// anything of it; so it is not for the inside of a KV_ASSERT, whose text is kept.
///
/// In the build with `-Dmutants=true`, at most one is alive in a process: the one that the
/// environment names (KV_MUTANT=m20_unsynced_ack), or that is set before anything runs.

#include <cstdint>
#ifdef KV_MUTANTS
#include <cstdio>
#include <cstdlib>
#include <string_view>
#endif

/// Name, and what is wrong with it. The numbers have gaps: what this store does not have (leases,
/// learners, changes of membership, sessions) cannot be broken.
#define KV_FOR_EACH_MUTANT(X)                                                             \
    X(m01_unsaved_vote, "a term or a vote is told to others before it is durable")        \
    X(m02_unsaved_term, "a vote is written with the term before")                         \
    X(m03_votes_by_number, "votes are counted by message, not by voter")                  \
    X(m05_index_only, "a candidate's log is judged by its length, whatever its term")     \
    X(m06_empty_log, "a log that is empty behind its snapshot votes for anybody")         \
    X(m07_pre_vote_forgets, "a pre-vote clears the vote")                                 \
    X(m08_pre_vote_term, "a pre-vote is granted in the own term")                         \
    X(m09_pre_vote_contact, "a pre-vote counts as a sign of life of the leader")          \
    X(m10_leads_for_ever, "who once led takes writes and reads as a follower")            \
    X(m11_no_stickiness, "a candidate is helped although a leader lives")                 \
    X(m12_no_check_quorum, "a leader that no majority hears goes on")                     \
    X(m13_match_by_last, "a follower's whole log counts as acknowledged")                 \
    X(m14_commit_unclamped, "the leader's commit holds for entries it has not verified")  \
    X(m15_old_term_by_count, "entries of earlier terms are committed by counting")        \
    X(m16_truncate_always, "a request ends the log, also where it agrees")                \
    X(m17_truncate_committed, "the same, below what is committed")                        \
    X(m18_aba, "a write vouches for entries that have taken the place of its own")        \
    X(m19_leader_unsynced, "a leader counts its own log before it is durable")            \
    X(m20_unsynced_ack, "a follower acknowledges before it is durable")                   \
    X(m21_early_batch, "a durable batch vouches for the next one")                        \
    X(m22_gap, "a request leaves out an entry")                                           \
    X(m23_cache_keeps, "entries in memory are not truncated with the log")                \
    X(m24_older_life, "replies to an earlier process count")                              \
    X(m25_older_term, "replies of an earlier term count")                                 \
    X(m26_append_after_step_down, "what a leader collected becomes an entry of the next") \
    X(m27_append_compacted, "entries that a snapshot covers are taken for new")           \
    X(m28_local_read, "a leader reads without asking whether it still leads")             \
    X(m29_early_read, "a leader reads before it has committed in its term")               \
    X(m30_round_reused, "a read joins a round whose heartbeats have left")                \
    X(m31_unapplied_read, "a read does not wait for what is committed to be applied")     \
    X(m43_keep_suffix, "a snapshot keeps a log that contradicts it")                      \
    X(m44_drop_suffix, "a snapshot drops the log that goes on from it")                   \
    X(m45_unsynced_snapshot, "a snapshot takes the place of the log before it is synced") \
    X(m46_unsynced_name, "the directory of a new snapshot is not synced")                 \
    X(m48_off_by_one, "a loaded snapshot counts as one entry further")                    \
    X(m49_resume_from_start, "a transfer that goes on begins with the first byte")        \
    X(m50_older_snapshot, "of two snapshots a start takes the older one")                 \
    X(m51_newer_state, "a snapshot holds what was changed after its index")               \
    X(m52_sync_error_ignored, "a failed sync or write counts as done")                    \
    X(m53_sync_retried, "a failed sync or write is tried again")                          \
    X(m54_unchecked_batch, "a start does not check the contents of a batch")              \
    X(m55_damage_is_torn, "damage within the log is cut off like a torn end")             \
    X(m56_short_write, "a short write counts as a whole one")                             \
    X(m57_no_sync, "a batch is acknowledged when it is written, not when it is synced")   \
    X(m58_unsynced_segment, "the directory of a new segment is not synced")               \
    X(m59_recycled_accepted, "a start takes what an earlier use of a segment left")       \
    X(m60_misplaced_accepted, "a batch is valid at any offset")                           \
    X(m61_tail_unsynced, "a start trusts an end of the log that is not synced")           \
    X(m62_lost_log, "with another number of cores, the first log is not taken over")      \
    X(m63_freed_segment, "a segment goes when the first shard does not need it")          \
    X(m64_lost_hard_state, "a new segment does not repeat the hard states")

namespace kv {

enum class Mutant : std::uint8_t {
    none,
#define KV_MUTANT(name, what) name,
    KV_FOR_EACH_MUTANT(KV_MUTANT)
#undef KV_MUTANT
};

#ifdef KV_MUTANTS
struct MutantName {
    Mutant mutant;
    std::string_view name;
    std::string_view what;
};
inline constexpr MutantName mutant_names[] = {
#define KV_MUTANT(name, what) {Mutant::name, #name, what},
    KV_FOR_EACH_MUTANT(KV_MUTANT)
#undef KV_MUTANT
};

/// The one of that name; ends the process when there is none.
inline Mutant find_mutant(const char* name) {
    if (name == nullptr) return Mutant::none;
    for (const MutantName& one : mutant_names) {
        if (one.name == name) return one.mutant;
    }
    std::fprintf(stderr, "no mutant is called %s\n", name);
    std::exit(2);
}

inline Mutant planted_mutant = find_mutant(std::getenv("KV_MUTANT"));
inline bool mutant(Mutant which) noexcept {
    return planted_mutant == which;
}
#else
consteval bool mutant(Mutant) noexcept {
    return false;
}
#endif

}  // namespace kv
