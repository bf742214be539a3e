#include "engine/node/data_directory.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/replica/core_change.h"
#include "proto/base/checksum.h"

namespace kv {

namespace {

constexpr std::uint64_t identity_magic = 0x3145524f5453564bull;  // "KVSTORE1"
constexpr std::uint16_t identity_version = 2;
constexpr std::uint64_t known_features = 0;
constexpr std::size_t segments_at = 96;
constexpr std::size_t checksum_at = identity_bytes - 8;
constexpr auto identity_name = "identity";

/// The directory that holds the name of `path`.
std::string parent_of(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    const std::size_t slash = path.rfind('/');
    if (slash == path.npos) return ".";
    return std::string(path.substr(0, std::max<std::size_t>(slash, 1)));
}

std::uint64_t random_word(io::Reactor& reactor) {
    std::byte bytes[8];
    reactor.backend().fill_entropy(bytes);
    return load_le<std::uint64_t>(bytes);
}

/// Errors that are made below, as whole sentences; others are the system's.
bool says_what_to_do(Errc code) noexcept {
    return code == Errc::locked || code == Errc::foreign || code == Errc::damaged;
}

}  // namespace

std::string encode_identity(const Identity& identity) {
    std::string out(identity_bytes, '\0');
    char* at = out.data();
    store_le<std::uint64_t>(at, identity_magic);
    store_le<std::uint16_t>(at + 8, identity_version);
    store_le<std::uint32_t>(at + 12, identity.shards);
    store_le<std::uint64_t>(at + 16, identity.cluster.high);
    store_le<std::uint64_t>(at + 24, identity.cluster.low);
    store_le<std::uint64_t>(at + 32, identity.store.high);
    store_le<std::uint64_t>(at + 40, identity.store.low);
    store_le<std::uint64_t>(at + 48, identity.node.value());
    store_le<std::uint64_t>(at + 56, identity.boot);
    store_le<std::uint64_t>(at + 64, identity.hash_secret);
    store_le<std::uint64_t>(at + 72, identity.features);
    store_le<std::uint64_t>(at + 80, identity.generation);
    store_le<std::uint32_t>(at + 88, identity.cores());
    KV_ASSERT(identity.segments.size() <= cores_max);
    for (std::size_t i = 0; i < identity.segments.size(); ++i) {
        store_le<std::uint64_t>(at + segments_at + 8 * i, identity.segments[i].value());
    }
    store_le<std::uint64_t>(at + checksum_at,
                            checksum(as_bytes(std::string_view(out).substr(0, checksum_at))));
    return out;
}

Result<Identity> decode_identity(std::string_view bytes, const std::string& path) {
    const char* at = bytes.data();
    if (bytes.size() != identity_bytes || load_le<std::uint64_t>(at) != identity_magic ||
        load_le<std::uint64_t>(at + checksum_at) !=
            checksum(as_bytes(bytes.substr(0, checksum_at)))) {
        return fail(
            Errc::damaged,
            fmt::format("{} is damaged: restore it from a backup, or move the data directory "
                        "away to start empty",
                        path));
    }
    const auto version = load_le<std::uint16_t>(at + 8);
    Identity identity;
    identity.features = load_le<std::uint64_t>(at + 72);
    if (version != identity_version || (identity.features & ~known_features) != 0) {
        return fail(
            Errc::foreign,
            fmt::format("{} has format {} and features {:#x}, which this version does not know: "
                        "use the version that wrote it, or a newer",
                        path, version, identity.features));
    }
    identity.shards = load_le<std::uint32_t>(at + 12);
    identity.cluster = {load_le<std::uint64_t>(at + 16), load_le<std::uint64_t>(at + 24)};
    identity.store = {load_le<std::uint64_t>(at + 32), load_le<std::uint64_t>(at + 40)};
    identity.node = NodeId(load_le<std::uint64_t>(at + 48));
    identity.boot = load_le<std::uint64_t>(at + 56);
    identity.hash_secret = load_le<std::uint64_t>(at + 64);
    identity.generation = load_le<std::uint64_t>(at + 80);
    const auto cores = load_le<std::uint32_t>(at + 88);
    if (identity.shards == 0 || identity.shards > slot_count || cores == 0 || cores > cores_max) {
        return fail(Errc::damaged, fmt::format("{} makes no sense: {} shards, {} cores", path,
                                               identity.shards, cores));
    }
    identity.segments.clear();
    for (std::size_t i = 0; i < cores; ++i) {
        identity.segments.emplace_back(load_le<std::uint64_t>(at + segments_at + 8 * i));
    }
    return identity;
}

io::Task<Status> DataDirectory::make_new(io::Reactor& reactor, NodeId node, std::uint32_t shards,
                                         std::uint16_t cores) {
    // A log without its identity would be lost by making another one.
    KV_CO_TRY(const std::vector<std::string> names,
              co_await io::list_directory(reactor, wal_directory()));
    for (const std::string& name : names) {
        if (!name.ends_with(".wal")) continue;
        co_return fail(
            Errc::damaged,
            fmt::format("{} holds a log, but {}/{} is missing: restore it from a backup, or "
                        "move the data directory away to start empty",
                        wal_directory(), path_, identity_name));
    }
    identity_.cluster = {random_word(reactor), random_word(reactor)};
    identity_.store = {random_word(reactor), random_word(reactor)};
    identity_.hash_secret = random_word(reactor);
    identity_.node = node;
    identity_.shards = shards;
    identity_.segments.resize(cores);
    created_ = true;
    co_return Status{};
}

io::Task<Status> DataDirectory::open(io::Reactor& reactor, std::string path, NodeId node,
                                     std::uint32_t shards, std::uint16_t cores) {
    path_ = std::move(path);
    const Status taken = co_await take(reactor, node, shards, cores);
    if (taken || says_what_to_do(taken.error().code)) co_return taken;
    // The system's words name the file and the reason, not the remedy.
    co_return fail(taken.error().code,
                   fmt::format("{}: make the data directory {} usable (its path, its permissions, "
                               "room on its disk), or choose another (node.data_dir)",
                               taken.error().text(), path_));
}

io::Task<Status> DataDirectory::lock(io::Reactor& reactor, std::uint32_t open_flags) {
    KV_CO_TRY(lock_, co_await io::File::open(reactor, path_ + "/LOCK", open_flags));
    const Status locked = co_await lock_.lock();
    if (locked || locked.error().code != Errc::locked) co_return locked;
    co_return fail(Errc::locked,
                   fmt::format("{} is in use by another process: stop it, or choose another "
                               "directory (node.data_dir)",
                               path_));
}

io::Task<Status> DataDirectory::open_to_look(io::Reactor& reactor, std::string path) {
    path_ = std::move(path);
    KV_CO_CHECK(co_await lock(reactor, 0));
    const std::string identity_path = path_ + "/" + identity_name;
    auto content = co_await io::read_file(reactor, identity_path, 2 * identity_bytes);
    if (!content && content.error().code != Errc::too_large) {
        co_return fail(std::move(content.error()));
    }
    const std::string bytes = content ? *content : std::string();
    KV_CO_TRY(identity_, decode_identity(bytes, identity_path));
    co_return Status{};
}

io::Task<Status> DataDirectory::take(io::Reactor& reactor, NodeId node, std::uint32_t shards,
                                     std::uint16_t cores) {
    KV_CO_CHECK(co_await io::make_directory(reactor, path_));
    // Its own name must be durable before anything in it is promised.
    KV_CO_CHECK(co_await io::sync_directory(reactor, parent_of(path_)));
    KV_CO_CHECK(co_await lock(reactor, io::open_write | io::open_create));
    KV_CO_CHECK(co_await io::make_directory(reactor, wal_directory()));
    KV_CO_CHECK(co_await io::make_directory(reactor, snapshot_directory()));
    KV_CO_CHECK(co_await io::sync_directory(reactor, path_));

    const std::string identity_path = path_ + "/" + identity_name;
    auto content = co_await io::read_file(reactor, identity_path, 2 * identity_bytes);
    if (!content && content.error().code == Errc::not_found) {
        KV_CO_CHECK(co_await make_new(reactor, node, shards, cores));
    } else if (!content && content.error().code != Errc::too_large) {
        co_return fail(std::move(content.error()));
    } else {
        const std::string bytes = content ? *content : std::string();
        KV_CO_TRY(identity_, decode_identity(bytes, identity_path));
    }
    if (identity_.node != node) {
        co_return fail(
            Errc::foreign,
            fmt::format("{} belongs to node {}, but this is node {}: correct node.id, or "
                        "choose another directory",
                        path_, identity_.node.value(), node.value()));
    }
    if (identity_.shards != shards) {
        co_return fail(
            Errc::foreign,
            fmt::format("{} was made with {} shards, but cluster.shards is {}: the number "
                        "cannot change later, set it back",
                        path_, identity_.shards, shards));
    }
    // Before anything is written: they may have filled the disk.
    const bool has_log = std::ranges::any_of(
        identity_.segments, [](SegmentSeq segment) { return segment.value() != 0; });
    KV_CO_CHECK(
        co_await remove_other_generations(reactor, wal_directory(), identity_.generation, has_log));
    ++identity_.boot;
    co_return co_await io::replace_file(reactor, path_, identity_name, encode_identity(identity_));
}

io::Task<Status> DataDirectory::note_segments(io::Reactor& reactor,
                                              std::vector<SegmentSeq> segments) {
    identity_.segments = std::move(segments);
    co_return co_await io::replace_file(reactor, path_, identity_name, encode_identity(identity_));
}

io::Task<Status> DataDirectory::note_generation(io::Reactor& reactor,
                                                std::vector<SegmentSeq> segments) {
    ++identity_.generation;
    identity_.segments = std::move(segments);
    KV_CO_CHECK(
        co_await io::replace_file(reactor, path_, identity_name, encode_identity(identity_)));
    co_return co_await remove_other_generations(reactor, wal_directory(), identity_.generation,
                                                false);
}

io::Task<void> DataDirectory::close() {
    co_await lock_.close();
}

}  // namespace kv
