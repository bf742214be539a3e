#include "engine/replica/retention.h"

#include <algorithm>

#include "proto/base/assert.h"
#include "proto/base/mutant.h"

namespace kv {

void Retention::entry(ShardId shard, Index index, SegmentSeq segment, std::uint64_t bytes) {
    covered_entry(shard, index, segment);
    Tail& tail = tails_[shard.value()];
    tail.bytes += bytes;
    ++tail.entries;
}

void Retention::covered_entry(ShardId shard, Index index, SegmentSeq segment) {
    std::deque<Part>& parts = tails_[shard.value()].parts;
    const Index before(index.value() - 1);
    for (auto part = parts.rbegin(); part != parts.rend() && part->last > before; ++part) {
        part->last = before;  // what was there is replaced
    }
    if (parts.empty() || parts.back().segment < segment) {
        parts.push_back({segment, index});
        return;
    }
    KV_ASSERT(parts.back().segment == segment);
    parts.back().last = index;
}

void Retention::reset(ShardId shard) {
    tails_[shard.value()] = {};
}

void Retention::begun(ShardId shard) {
    Tail& tail = tails_[shard.value()];
    tail.bytes_before_begun = tail.bytes;
    tail.entries_before_begun = tail.entries;
}

void Retention::given_up(ShardId shard) {
    Tail& tail = tails_[shard.value()];
    tail.bytes_before_begun = 0;
    tail.entries_before_begun = 0;
}

void Retention::marked(ShardId shard, Index index) {
    Tail& tail = tails_[shard.value()];
    while (!tail.parts.empty() && tail.parts.front().last <= index) tail.parts.pop_front();
    tail.bytes -= tail.bytes_before_begun;
    tail.entries -= tail.entries_before_begun;
    given_up(shard);
}

bool Retention::due(ShardId shard, std::uint64_t data_bytes) const {
    const Tail& tail = tails_[shard.value()];
    const bool entries = limits_.entries != 0 && tail.entries >= limits_.entries;
    return entries || tail.bytes >= std::max(limits_.log_bytes, data_bytes);
}

std::optional<SegmentSeq> Retention::first_needed() const {
    std::optional<SegmentSeq> first;
    for (const Tail& tail : tails_) {
        if (tail.parts.empty()) continue;
        const SegmentSeq segment = tail.parts.front().segment;
        const bool newest = mutant(Mutant::m63_freed_segment);
        if (!first || (newest ? segment > *first : segment < *first)) first = segment;
    }
    return first;
}

std::vector<ShardId> Retention::pinning(SegmentSeq segment) const {
    std::vector<ShardId> shards;
    for (std::size_t i = 0; i < tails_.size(); ++i) {
        const bool pins = !tails_[i].parts.empty() && tails_[i].parts.front().segment <= segment;
        if (pins) shards.push_back(ShardId(static_cast<std::uint16_t>(i)));
    }
    return shards;
}

}  // namespace kv
