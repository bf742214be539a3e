#include "bin/kv-bench/error_class.h"

#include <array>

#include "proto/base/assert.h"

namespace kv::bench {

namespace {

struct Row {
    std::string_view front;  ///< how the error begins, without "ERR "
    ErrorClass error;
};

/// The words that begin a RESP error, then sentences that say the same in the other protocols, then
/// what kv-bench says itself. The first that fits counts.
constexpr std::array rows{
    Row{"MOVED ", ErrorClass::redirected},
    Row{"ASK ", ErrorClass::redirected},
    Row{"REDIRECT", ErrorClass::redirected},
    Row{"CLUSTERDOWN", ErrorClass::no_leader},
    Row{"no leader available", ErrorClass::no_leader},
    Row{"no read lease", ErrorClass::no_leader},
    Row{"BUSY the log has reached", ErrorClass::full},
    Row{"the log has reached", ErrorClass::full},
    Row{"MISCONF ", ErrorClass::full},
    Row{"disk full", ErrorClass::full},
    Row{"OOM ", ErrorClass::full},
    Row{"command not allowed when used memory", ErrorClass::full},
    Row{"BUSY ", ErrorClass::busy},
    Row{"too many writes are waiting", ErrorClass::busy},
    Row{"LOADING ", ErrorClass::busy},
    Row{"the node is loading", ErrorClass::busy},
    Row{"TRYAGAIN ", ErrorClass::busy},
    Row{"the server is shutting down", ErrorClass::busy},
    Row{"CROSSSLOT ", ErrorClass::refused},
    Row{"READONLY ", ErrorClass::refused},
    Row{"NOAUTH ", ErrorClass::refused},
    Row{"NOPERM ", ErrorClass::refused},
    Row{"WRONGTYPE ", ErrorClass::refused},
    Row{"unknown command", ErrorClass::refused},
    Row{"wrong number of arguments", ErrorClass::refused},
    Row{"syntax error", ErrorClass::refused},
    Row{"value is ", ErrorClass::refused},
    Row{"key must have", ErrorClass::refused},
    Row{"increment or decrement would overflow", ErrorClass::refused},
    Row{"TIMEOUT ", ErrorClass::unknown_outcome},
    Row{"commit timed out", ErrorClass::unknown_outcome},
    Row{unknown_outcome_text, ErrorClass::unknown_outcome},
    Row{connection_lost_text, ErrorClass::connection_lost},
    Row{timed_out_text, ErrorClass::timed_out},
    Row{interrupted_text, ErrorClass::timed_out},
};

}  // namespace

std::string_view name(ErrorClass error) noexcept {
    switch (error) {
        case ErrorClass::redirected: return "redirected";
        case ErrorClass::no_leader: return "no leader";
        case ErrorClass::busy: return "busy";
        case ErrorClass::full: return "full";
        case ErrorClass::refused: return "refused";
        case ErrorClass::timed_out: return "timed out";
        case ErrorClass::unknown_outcome: return "unknown outcome";
        case ErrorClass::connection_lost: return "connection lost";
        case ErrorClass::other: return "other";
    }
    KV_UNREACHABLE("ErrorClass {}", static_cast<unsigned>(error));
}

ErrorClass classify_error(std::string_view text) noexcept {
    if (text.starts_with("ERR ")) text.remove_prefix(4);
    for (const Row& row : rows) {
        if (text.starts_with(row.front)) return row.error;
    }
    return text.ends_with(unknown_outcome_text) ? ErrorClass::unknown_outcome : ErrorClass::other;
}

ErrorClass classify_error(std::string_view kind, std::string_view text) noexcept {
    const ErrorClass of_kind = classify_error(kind);
    return of_kind == ErrorClass::other ? classify_error(text) : of_kind;
}

bool not_applied(ErrorClass error) noexcept {
    switch (error) {
        case ErrorClass::redirected:
        case ErrorClass::no_leader:
        case ErrorClass::busy:
        case ErrorClass::full:
        case ErrorClass::refused: return true;
        case ErrorClass::timed_out:
        case ErrorClass::unknown_outcome:
        case ErrorClass::connection_lost:
        case ErrorClass::other: break;
    }
    return false;
}

bool worth_repeating(ErrorClass error) noexcept {
    return error == ErrorClass::redirected || error == ErrorClass::no_leader ||
           error == ErrorClass::busy;
}

}  // namespace kv::bench
