#include "consensus/core/read_index.h"

#include "proto/base/mutant.h"

namespace kv::consensus {

std::uint64_t ReadIndex::open(Index commit) {
    if (open_ || (mutant(Mutant::m30_round_reused) && waiting())) {
        rounds_.back().index = commit;
        return newest_;
    }
    open_ = true;
    ++newest_;
    if (rounds_.size() == rounds_max) rounds_.pop_back();
    rounds_.push_back({newest_, commit});
    return newest_;
}

std::optional<ReadReady> ReadIndex::confirm(std::uint64_t round) {
    std::optional<ReadReady> ready;
    while (!rounds_.empty() && rounds_.front().round <= round) {
        ready = rounds_.front();
        rounds_.pop_front();
    }
    return ready;
}

void ReadIndex::clear() noexcept {
    rounds_.clear();
    open_ = false;
}

}  // namespace kv::consensus
