#pragma once

/// SCAN and RANDOMKEY: walks through the stores of this node, a part of one shard at a time.
///
/// A cursor is 63 bits, which every client can carry as a signed number: 10 of the shard, then the
/// 53 upper ones of the hash from which to go on within it. It holds no state of the server, so it
/// is valid for ever, also after a restart or in another connection. A key that is there during the
/// whole scan is returned at least once; one that comes or goes meanwhile may be. 0 is the start
/// and the end.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/replica/replica_set.h"
#include "proto/base/prng.h"
#include "proto/command_options.h"
#include "proto/reply.h"

namespace kv {

struct ScanPosition {
    std::uint16_t shard = 0;
    Cursor cursor;
};
std::uint64_t encode_scan_cursor(ScanPosition position) noexcept;
ScanPosition decode_scan_cursor(std::uint64_t cursor) noexcept;
/// So much of a cursor of another node as can be encoded: of its own it is all.
Cursor cut_scan_cursor(Cursor cursor) noexcept;

/// What was found so far by one SCAN, and what it has cost.
struct ScanPage {
    std::vector<std::string> keys;
    std::size_t bytes = 0;  ///< of the keys
    std::uint64_t visited = 0;
    std::uint64_t match_steps = 0;
};

/// Whether a reply should be sent with what is in `page`.
bool scan_is_enough(const ScanPage& page, const ScanOptions& options) noexcept;

/// Whether TYPE lets any key pass.
bool scans_strings(const ScanOptions& options) noexcept;

/// Visits a few hundred keys of `store` from `cursor` on; returns where to go on, 0 at the end.
Cursor scan_store(const Store& store, Cursor cursor, const ScanOptions& options, ScanPage& page);

/// One SCAN over all shards of `replicas`, which are all there are; returns the cursor to go on
/// with.
std::uint64_t scan(const ReplicaSet& replicas, const ScanOptions& options, ScanPage& page);

/// The options of a request that was checked.
ScanOptions scan_options(std::span<const std::string_view> args);
void answer_page(const ScanPage& page, std::uint64_t cursor, ReplyWriter& reply);

/// Some key of this core, of the shards that are `readable`; nothing if there is none. Not evenly
/// distributed: keys whose neighbours are few come more often.
std::optional<std::string> random_key(const ReplicaSet& replicas, const std::vector<bool>& readable,
                                      Prng& prng);

}  // namespace kv
