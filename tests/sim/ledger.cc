#include "tests/sim/ledger.h"

#include <fmt/format.h>

namespace kv::sim {

std::size_t Ledger::send(std::string key, std::optional<std::string> value) {
    const std::uint16_t shard = placement_.shard_of(std::string_view(key)).value();
    writes_[shard].push_back({std::move(key), std::move(value)});
    places_.push_back({shard, writes_[shard].size() - 1});
    return places_.size() - 1;
}

void Ledger::acknowledge(std::size_t number) {
    const Place& place = places_[number];
    writes_[place.shard][place.position].acknowledged = true;
    ++acknowledged_;
}

std::string Ledger::check_shard(std::uint16_t shard, const Store& store) {
    Content found;
    Cursor cursor(0);
    do {
        cursor = store.scan(cursor, [&](std::string_view key, std::string_view value, Revision) {
            found.emplace(key, value);
        });
    } while (cursor != Cursor(0));
    std::vector<Write>& writes = writes_[shard];
    std::size_t must = 0;
    for (std::size_t i = 0; i < writes.size(); ++i) {
        if (writes[i].acknowledged) must = i + 1;
    }
    Content expected = settled_[shard];
    bool agrees = false;
    for (std::size_t prefix = 0; prefix <= writes.size() && !agrees; ++prefix) {
        if (prefix > 0) {
            const Write& write = writes[prefix - 1];
            if (write.value) {
                expected[write.key] = *write.value;
            } else {
                expected.erase(write.key);
            }
        }
        agrees = prefix >= must && expected == found;
    }
    writes.clear();
    settled_[shard] = std::move(found);
    if (agrees) return {};
    return fmt::format(
        "shard {} holds no prefix of what was written that has the {} writes up to the "
        "last acknowledged one",
        shard, must);
}

std::string Ledger::check(const Node& node) {
    std::string wrong;
    for (std::uint16_t shard = 0; shard < node.shards(); ++shard) {
        const std::string found = check_shard(shard, node.store(ShardId(shard)));
        if (wrong.empty()) wrong = found;
    }
    places_.clear();
    return wrong;
}

}  // namespace kv::sim
