#pragma once

/// Checks a whole data directory while no node uses it: the identity, every snapshot and every log,
/// with the code that a start reads them with. Nothing is written, and nothing is repaired.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "io/reactor.h"
#include "proto/base/result.h"

namespace kv {

struct VerifyReport {
    std::uint64_t logs = 0;
    std::uint64_t snapshots = 0;
    std::uint64_t records = 0;
    std::uint64_t entries = 0;
    std::uint64_t keys = 0;   ///< in snapshots
    std::uint64_t bytes = 0;  ///< that were read and are right
    std::uint64_t failures = 0;
    std::optional<Error> first_failure;  ///< of a damaged file, if there is one
};

/// Takes one line, without its end.
using VerifyOutput = std::function<void(std::string_view line)>;

/// Gives `out` a line for each snapshot and each log, then a summary. What is wrong with one of
/// them is in its line, and the others are checked all the same. Errors, with which nothing could
/// be checked: `locked`, a process uses the directory; `not_found`, there is none; `damaged`,
/// `foreign`, its identity; `io`.
io::Task<Result<VerifyReport>> verify_directory(io::Reactor& reactor, std::string path,
                                                VerifyOutput out);

}  // namespace kv
