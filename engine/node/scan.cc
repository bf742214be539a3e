#include "engine/node/scan.h"

#include <algorithm>

#include "engine/node/glob.h"
#include "proto/request_check.h"

namespace kv {

namespace {

constexpr unsigned hash_bits = 53;
constexpr unsigned hash_bits_cut = 64 - hash_bits;
/// One call ends at these, whatever COUNT and MATCH say: some milliseconds of work.
constexpr std::uint64_t visited_max = 20'000;
constexpr std::uint64_t match_steps_max = 1'000'000;
constexpr std::size_t page_bytes_max = std::size_t{1} << 20;

}  // namespace

std::uint64_t encode_scan_cursor(ScanPosition position) noexcept {
    KV_ASSERT(position.cursor.value() << hash_bits == 0, "an index deeper than {}", hash_bits);
    return std::uint64_t{position.shard} << hash_bits | position.cursor.value() >> hash_bits_cut;
}

ScanPosition decode_scan_cursor(std::uint64_t cursor) noexcept {
    return {static_cast<std::uint16_t>(cursor >> hash_bits), Cursor(cursor << hash_bits_cut)};
}

Cursor cut_scan_cursor(Cursor cursor) noexcept {
    return Cursor(cursor.value() >> hash_bits_cut << hash_bits_cut);
}

bool scans_strings(const ScanOptions& options) noexcept {
    return !options.has_type || equals_ignoring_case(options.type, "string");
}

bool scan_is_enough(const ScanPage& page, const ScanOptions& options) noexcept {
    return page.visited >= std::min(options.count, visited_max) ||
           page.match_steps >= match_steps_max || page.bytes >= page_bytes_max;
}

Cursor scan_store(const Store& store, Cursor cursor, const ScanOptions& options, ScanPage& page) {
    const bool right_type = scans_strings(options);
    return store.scan(cursor, [&](std::string_view key, std::string_view, Revision) {
        ++page.visited;
        if (!right_type) return;
        if (options.has_pattern && !glob_match(options.pattern, key, false, &page.match_steps)) {
            return;
        }
        page.keys.emplace_back(key);
        page.bytes += key.size();
    });
}

std::uint64_t scan(const ReplicaSet& replicas, const ScanOptions& options, ScanPage& page) {
    ScanPosition at = decode_scan_cursor(options.cursor);
    while (at.shard < replicas.shards()) {
        at.cursor = scan_store(replicas.store(ShardId(at.shard)), at.cursor, options, page);
        if (at.cursor == Cursor(0)) ++at.shard;
        if (scan_is_enough(page, options)) break;
    }
    return at.shard < replicas.shards() ? encode_scan_cursor(at) : 0;
}

ScanOptions scan_options(std::span<const std::string_view> args) {
    const auto options = parse_scan_options(args);
    KV_ASSERT(options.has_value(), "options are checked before they are used");
    return *options;
}

void answer_page(const ScanPage& page, std::uint64_t cursor, ReplyWriter& reply) {
    const std::vector<std::string_view> keys(page.keys.begin(), page.keys.end());
    reply.scanned(cursor, keys);
}

std::optional<std::string> random_key(const ReplicaSet& replicas, const std::vector<bool>& readable,
                                      Prng& prng) {
    const auto shards = static_cast<std::uint64_t>(replicas.shards());
    const std::uint64_t first = prng.below(shards);
    // The first shard twice: from a random point to its end, and in the end as a whole.
    for (std::uint64_t i = 0; i <= shards; ++i) {
        const ShardId shard(static_cast<std::uint16_t>((first + i) % shards));
        if (!replicas.has(shard) || !readable[shard.value()]) continue;
        if (replicas.store(shard).size() == 0) continue;
        const Store& store = replicas.store(shard);
        Cursor cursor(i == 0 ? prng.next() : 0);
        std::uint64_t seen = 0;
        std::string chosen;
        do {
            cursor = store.scan(cursor, [&](std::string_view key, std::string_view, Revision) {
                if (prng.below(++seen) == 0) chosen.assign(key);
            });
            if (seen != 0) return chosen;
        } while (cursor != Cursor(0));
    }
    return std::nullopt;
}

}  // namespace kv
