#include "engine/replica/log_index.h"

#include <algorithm>

namespace kv {

bool LogIndex::apart(const Mark& mark, const wal::BatchPlace& place, std::uint64_t spacing) {
    return mark.place.segment != place.segment || place.offset >= mark.place.offset + spacing;
}

void LogIndex::entry(ShardId shard, Index index, wal::BatchPlace place) {
    Shard& own = shards_[shard.value()];
    std::vector<Mark>& marks = own.marks;
    const bool replaces = !marks.empty() && index <= own.last;
    const bool joins = !marks.empty() && index == own.last.next();
    if (!replaces && !joins) marks.clear();
    while (!marks.empty() && marks.back().first >= index) marks.pop_back();
    own.last = index;
    if (joins && !apart(marks.back(), place, own.spacing)) return;
    if (marks.size() >= marks_max) thin(own);
    marks.push_back({index, place, replaces});
}

void LogIndex::thin(Shard& shard) {
    shard.spacing *= 2;
    std::vector<Mark> kept;
    for (const Mark& mark : shard.marks) {
        if (kept.empty() || mark.fork || apart(kept.back(), mark.place, shard.spacing)) {
            kept.push_back(mark);
        }
    }
    if (kept.size() >= marks_max) kept.erase(kept.begin(), kept.begin() + marks_max / 2);
    shard.marks = std::move(kept);
}

void LogIndex::reset(ShardId shard) {
    shards_[shard.value()] = {};
}

void LogIndex::released(SegmentSeq segment) {
    for (Shard& shard : shards_) {
        const auto there = std::ranges::find_if(
            shard.marks, [&](const Mark& mark) { return mark.place.segment >= segment; });
        shard.marks.erase(shard.marks.begin(), there);
    }
}

std::optional<LogIndex::Found> LogIndex::find(ShardId shard, Index index) const {
    const Shard& own = shards_[shard.value()];
    const auto behind = std::ranges::upper_bound(own.marks, index, {}, &Mark::first);
    if (behind == own.marks.begin() || index > own.last) return std::nullopt;
    const Index last = behind == own.marks.end() ? own.last : Index(behind->first.value() - 1);
    return Found{std::prev(behind)->place, last};
}

}  // namespace kv
