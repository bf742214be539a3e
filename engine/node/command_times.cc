#include "engine/node/command_times.h"

#include "proto/command_table.h"

namespace kv {

CommandTimes::Recent CommandTimes::all() const noexcept {
    Recent out;
    for (std::size_t at = 0; at < verbs; ++at) {
        const auto verb = static_cast<Verb>(at);
        if (verb == Verb::invalid) continue;
        const CommandClass kind = command_class(verb);
        const bool reads = kind == CommandClass::key_read || kind == CommandClass::wide_read;
        if (!reads && kind != CommandClass::write) continue;
        DurationCounts& counts = reads ? out.reads : out.writes;
        for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += times_[at].counts[i];
    }
    return out;
}

void CommandTimes::tick() noexcept {
    before_[ticks_ % recent_ticks] = all();
    ++ticks_;
}

CommandTimes::Recent CommandTimes::recent() const noexcept {
    Recent out = all();
    const Recent& before = before_[ticks_ % recent_ticks];  // the oldest; zero at first
    for (std::size_t i = 0; i < duration_classes; ++i) {
        out.reads[i] -= before.reads[i];
        out.writes[i] -= before.writes[i];
    }
    return out;
}

}  // namespace kv
