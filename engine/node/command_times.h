#pragma once

/// How long commands take, from the turn that received them to their reply: by verb, and lately for
/// reads and writes as such. Owner core only; costs an increment a command, and no look at the
/// clock: what is answered at once took as long as its turn did.

#include <array>
#include <cstddef>
#include <cstdint>

#include "proto/base/duration_classes.h"
#include "proto/command.h"

namespace kv {

class CommandTimes {
public:
    static constexpr std::size_t verbs = static_cast<std::size_t>(verb_last) + 1;

    /// The reply is there in the turn that received the command.
    void add_at_once(Verb verb) noexcept {
        const auto at = static_cast<std::size_t>(verb);
        if (at_once_[at]++ == 0) verbs_at_once_[verbs_at_once_count_++] = at;
    }
    /// When replies of the turn, which has taken so long, leave.
    void end_turn(Duration took) noexcept {
        for (std::size_t i = 0; i < verbs_at_once_count_; ++i) {
            const std::size_t at = verbs_at_once_[i];
            times_[at].add(took, at_once_[at]);
            at_once_[at] = 0;
        }
        verbs_at_once_count_ = 0;
    }
    /// It waited for the log, for another core or another node.
    void add(Verb verb, Duration took) noexcept {
        times_[static_cast<std::size_t>(verb)].add(took);
    }

    const std::array<DurationHistogram, verbs>& by_verb() const noexcept { return times_; }

    /// Those of the last `recent_ticks` ticks and since.
    struct Recent {
        DurationCounts reads{};
        DurationCounts writes{};
    };
    static constexpr std::size_t recent_ticks = 5;
    /// Once a second.
    void tick() noexcept;
    Recent recent() const noexcept;
    void reset() noexcept { *this = {}; }

private:
    Recent all() const noexcept;

    std::array<DurationHistogram, verbs> times_{};
    std::array<std::uint32_t, verbs> at_once_{};
    std::array<std::size_t, verbs> verbs_at_once_{};  ///< whose at_once_ is not 0
    std::size_t verbs_at_once_count_ = 0;
    std::array<Recent, recent_ticks> before_{};  ///< all() at earlier ticks, a ring
    std::size_t ticks_ = 0;
};

}  // namespace kv
