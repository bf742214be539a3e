#include "engine/node/data_directory.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/replica/core_change.h"
#include "proto/base/bytes.h"
#include "proto/base/checksum.h"

namespace kv {

namespace {

constexpr auto identity_name = "identity";
constexpr auto members_name = "members";

/// The directory that holds the name of `path`.
std::string parent_of(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    const std::size_t slash = path.rfind('/');
    if (slash == path.npos) return ".";
    return std::string(path.substr(0, std::max<std::size_t>(slash, 1)));
}

/// Makes what is missing of `path`.
io::Task<Status> make_with_parents(io::Reactor& reactor, std::string path) {
    std::vector<std::string> missing = {std::move(path)};
    while (!missing.empty()) {
        const std::string parent = parent_of(missing.back());
        const Status made = co_await io::make_directory(reactor, missing.back());
        if (made) {
            missing.pop_back();
            continue;
        }
        if (made.error().code != Errc::not_found || parent == missing.back()) co_return made;
        missing.push_back(parent);
    }
    co_return Status{};
}

/// Makes the name of `path` durable, and those of the directories above it: an earlier start may
/// have made them, and have been killed. Where nobody may look, nobody has made anything.
io::Task<Status> sync_names(io::Reactor& reactor, std::string path) {
    KV_CO_CHECK(co_await io::sync_directory(reactor, parent_of(path)));
    for (path = parent_of(path); parent_of(path) != path; path = parent_of(path)) {
        auto opened = co_await io::File::open(reactor, parent_of(path), io::open_directory);
        if (!opened) break;
        io::File above = *std::move(opened);
        const Status synced = co_await above.sync();
        co_await above.close();
        if (!synced) co_return synced;
    }
    co_return Status{};
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

StoreId random_id(io::Reactor& reactor) {
    return {random_word(reactor), random_word(reactor)};
}

}  // namespace

io::Task<Status> DataDirectory::make_new(io::Reactor& reactor, NodeId node, std::uint32_t shards,
                                         std::uint16_t cores, Company company) {
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
    identity_.store = random_id(reactor);
    if (company == Company::alone) {
        identity_.cluster = random_id(reactor);
        identity_.hash_secret = random_word(reactor);
    } else {
        identity_.membership = Membership::empty;
        identity_.features |= feature_cluster;
    }
    identity_.node = node;
    identity_.shards = shards;
    identity_.segments.resize(cores);
    created_ = true;
    co_return Status{};
}

io::Task<Status> DataDirectory::open(io::Reactor& reactor, std::string path, NodeId node,
                                     std::uint32_t shards, std::uint16_t cores, Company company) {
    path_ = std::move(path);
    reactor_ = &reactor;
    one_pin_ = std::make_unique<io::Semaphore>(reactor, 1);
    const Status taken = co_await take(reactor, node, shards, cores, company);
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
    reactor_ = &reactor;
    KV_CO_CHECK(co_await lock(reactor, 0));
    const std::string identity_path = path_ + "/" + identity_name;
    auto content = co_await io::read_file(reactor, identity_path, 2 * identity_bytes);
    if (!content && content.error().code != Errc::too_large) {
        co_return fail(std::move(content.error()));
    }
    const std::string bytes = content ? *content : std::string();
    KV_CO_TRY(identity_, decode_identity(bytes, identity_path));
    co_return co_await read_members();
}

io::Task<Status> DataDirectory::take(io::Reactor& reactor, NodeId node, std::uint32_t shards,
                                     std::uint16_t cores, Company company) {
    KV_CO_CHECK(co_await make_with_parents(reactor, path_));
    KV_CO_CHECK(co_await lock(reactor, io::open_write | io::open_create));
    KV_CO_CHECK(co_await io::make_directory(reactor, wal_directory()));
    KV_CO_CHECK(co_await io::make_directory(reactor, snapshot_directory()));
    KV_CO_CHECK(co_await io::sync_directory(reactor, path_));

    const std::string identity_path = path_ + "/" + identity_name;
    auto content = co_await io::read_file(reactor, identity_path, 2 * identity_bytes);
    if (!content && content.error().code == Errc::not_found) {
        // Before anything in it is promised.
        KV_CO_CHECK(co_await sync_names(reactor, path_));
        KV_CO_CHECK(co_await make_new(reactor, node, shards, cores, company));
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
    if (is_of_cluster() != (company == Company::cluster)) {
        co_return fail(
            Errc::foreign,
            is_of_cluster()
                ? fmt::format("{} belongs to a node of a cluster, but [[cluster.nodes]] lists no "
                              "others: list them, or choose another directory (node.data_dir)",
                              path_)
                : fmt::format("{} belongs to a single node, but [[cluster.nodes]] lists others: "
                              "leave them out, or choose another directory (node.data_dir)",
                              path_));
    }
    KV_CO_CHECK(co_await read_members());
    // Without a log, another number of cores is nothing to be carried over.
    if (identity_.membership != Membership::member) identity_.segments.resize(cores);
    // Before anything is written: they may have filled the disk.
    const bool has_log = std::ranges::any_of(
        identity_.segments, [](SegmentSeq segment) { return segment.value() != 0; });
    KV_CO_CHECK(
        co_await remove_other_generations(reactor, wal_directory(), identity_.generation, has_log));
    ++identity_.boot;
    co_return co_await io::replace_file(reactor, path_, identity_name, encode_identity(identity_));
}

io::Task<Status> DataDirectory::read_members() {
    if (!is_of_cluster() || identity_.membership == Membership::empty) co_return Status{};
    const std::string members_path = path_ + "/" + members_name;
    auto content = co_await io::read_file(*reactor_, members_path, members_bytes_max);
    if (!content && content.error().code == Errc::not_found) {
        co_return fail(Errc::damaged,
                       fmt::format("{} is missing: restore it from a backup, or move the data "
                                   "directory away to start empty",
                                   members_path));
    }
    if (!content && content.error().code != Errc::too_large) {
        co_return fail(std::move(content.error()));
    }
    const std::string bytes = content ? *content : std::string();
    KV_CO_TRY(members_, decode_members(bytes, members_path));
    if (members_.cluster != identity_.cluster || pinned(identity_.node) != identity_.store) {
        co_return fail(Errc::damaged,
                       fmt::format("{} and {} are not of one data directory: restore both from "
                                   "the same backup, or move the data directory away to start "
                                   "empty",
                                   members_path, identity_name));
    }
    co_return Status{};
}

io::Task<Status> DataDirectory::write_identity(Identity identity) {
    KV_CO_CHECK(
        co_await io::replace_file(*reactor_, path_, identity_name, encode_identity(identity)));
    identity_ = std::move(identity);
    co_return Status{};
}

io::Task<Status> DataDirectory::form(StoreId cluster, Configuration formed) {
    KV_ASSERT(identity_.membership == Membership::empty);
    KV_ASSERT(cluster != StoreId{});
    Members members;
    members.cluster = cluster;
    for (const Member& member : formed.members) members.pins.push_back({member.node, member.store});
    members.formed = std::move(formed);
    const Pin own{identity_.node, identity_.store};
    KV_ASSERT(std::ranges::find(members.pins, own) != members.pins.end());
    KV_CO_CHECK(co_await io::replace_file(*reactor_, path_, members_name, encode_members(members)));
    members_ = std::move(members);
    Identity identity = identity_;
    identity.cluster = cluster;
    identity.hash_secret = mix_seed(cluster.high, cluster.low);
    identity.membership = Membership::forming;
    co_return co_await write_identity(std::move(identity));
}

io::Task<Status> DataDirectory::become_member() {
    KV_ASSERT(identity_.membership == Membership::forming);
    Identity identity = identity_;
    identity.membership = Membership::member;
    co_return co_await write_identity(std::move(identity));
}

io::Task<Status> DataDirectory::pin(NodeId node, StoreId store) {
    co_await one_pin_->take();
    const Status status = co_await pin_alone(node, store);
    one_pin_->give();
    co_return status;
}

io::Task<Status> DataDirectory::pin_alone(NodeId node, StoreId store) {
    KV_ASSERT(!members_.pins.empty());
    const auto at = std::ranges::lower_bound(members_.pins, node, {}, &Pin::node);
    if (at != members_.pins.end() && at->node == node) {
        if (at->store == store) co_return Status{};
        co_return fail(Errc::foreign,
                       fmt::format("node {} comes with another data directory than before: what "
                                   "the first one promised is lost, so this one does not count",
                                   node.value()));
    }
    if (members_.pins.size() == pins_max) {
        co_return fail(
            Errc::too_large,
            fmt::format("{} nodes have belonged to this cluster, more are not kept", pins_max));
    }
    Members members = members_;
    members.pins.insert(members.pins.begin() + (at - members_.pins.begin()), {node, store});
    KV_CO_CHECK(co_await io::replace_file(*reactor_, path_, members_name, encode_members(members)));
    members_ = std::move(members);
    co_return Status{};
}

std::optional<StoreId> DataDirectory::pinned(NodeId node) const noexcept {
    const auto at = std::ranges::find(members_.pins, node, &Pin::node);
    if (at == members_.pins.end()) return std::nullopt;
    return at->store;
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
