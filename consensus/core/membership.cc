#include "consensus/core/membership.h"

namespace kv::consensus {

void Membership::restore(Index index, const Configuration& configuration, bool keep_newer) {
    std::erase_if(known_, [&](const Known& one) { return !keep_newer || one.index <= index; });
    known_.insert(known_.begin(), {index, configuration});
    changed();
}

void Membership::append(Index index, Configuration configuration) {
    KV_ASSERT(index > known_.back().index || known_.size() == 1);
    known_.push_back({index, std::move(configuration)});
    changed();
}

void Membership::truncate(Index first) {
    const std::size_t before = known_.size();
    while (known_.size() > 1 && known_.back().index >= first) known_.pop_back();
    if (known_.size() != before) changed();
}

void Membership::compact(Index index) {
    while (known_.size() > 1 && known_[1].index <= index) known_.erase(known_.begin());
}

}  // namespace kv::consensus
