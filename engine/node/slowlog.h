#pragma once

/// SLOWLOG: the newest commands of one core that took longer than slowlog.slower_than_us, from
/// their parsing to their reply. A bounded ring. Owner core only; entries of several cores are
/// merged by answer_slowlog().
///
/// A command that waits for the log is shown with its name and its first argument: no more of it is
/// kept while it waits.

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "proto/command.h"
#include "proto/command_options.h"
#include "proto/reply.h"

namespace kv {

struct SlowCommand {
    std::uint64_t id = 0;
    std::int64_t unix_s = 0;
    std::int64_t took_us = 0;
    std::vector<std::string> words;  ///< cut as Redis cuts them
    std::string client;              ///< address
    std::string client_name;
};

class SlowLog {
public:
    /// Ids are unique over cores, and rise on each.
    void add(SlowCommand command, std::size_t entries_max, std::uint64_t core, std::uint64_t cores);
    void clear() noexcept { entries_.clear(); }
    const std::deque<SlowCommand>& entries() const noexcept { return entries_; }  ///< oldest first

private:
    std::deque<SlowCommand> entries_;
    std::uint64_t added_ = 0;
};

/// At most 32 words of at most 128 bytes; what is missing is said in their place. `more`: arguments
/// that are not in `args`.
std::vector<std::string> slow_words(Verb verb, Args args, std::size_t more = 0);

/// Leaves the newest `entries_max`, newest first.
void keep_newest(std::vector<const SlowCommand*>& entries, std::size_t entries_max);

/// SLOWLOG GET, from the entries of all cores, newest first.
void answer_slowlog(Args args, std::vector<const SlowCommand*> entries, ReplyWriter& reply);

}  // namespace kv
