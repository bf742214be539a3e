#include "tests/support/sim_peers.h"

#include <gtest/gtest.h>

#include "io/call.h"

namespace kv::consensus {

namespace {

CoreId core_at(std::size_t index) {
    return CoreId(static_cast<std::uint16_t>(index));
}

}  // namespace

SimPeerCore::SimPeerCore(SimPeer& n, io::Reactor& r, const LinkLimits& limits)
    : node(n), reactor(r), transport(r, *this, *this, limits) {
    reactor.add_turn_hook(*this, io::Reactor::Phase::answer);
    reactor.mailboxes().set_receiver(adopt_kind, this);
    reactor.mailboxes().set_receiver(block_kind, this);
}

SimPeerCore::~SimPeerCore() {
    reactor.remove_turn_hook(*this);
    reactor.mailboxes().set_receiver(adopt_kind, nullptr);
    reactor.mailboxes().set_receiver(block_kind, nullptr);
}

Handshake SimPeerCore::introduce() noexcept {
    return node.self;
}

Acquaintance SimPeerCore::know(NodeId peer) noexcept {
    const auto at = node.known.find(peer);
    return at == node.known.end() ? Acquaintance{} : at->second;
}

void SimPeerCore::on_met(const Handshake& theirs) noexcept {
    node.met.push_back(theirs.node);
    node.known[theirs.node].boot = theirs.boot;
}

void SimPeerCore::on_refused(const Handshake&, std::uint16_t verdict, bool by_them) noexcept {
    (by_them ? node.refused_here : node.refused).push_back(verdict);
}

CoreId SimPeerCore::core_of(GroupId group) noexcept {
    return core_at(group.value() % node.cores.size());
}

CoreId SimPeerCore::core_of_request(std::uint64_t request) noexcept {
    return core_at(request % node.cores.size());
}

std::string& SimPeerCore::block_of(CoreId core, NodeId from) noexcept {
    return blocks_[{core, from}];
}

void SimPeerCore::at_turn_end() {
    for (auto& [way, bytes] : blocks_) {
        if (bytes.empty()) continue;
        auto block = std::make_unique<Block>(Block{way.second, std::exchange(bytes, {})});
        reactor.mailboxes().send(way.first, {block_kind, 0, block.release()});
    }
}

void SimPeerCore::on_inbox(NodeId peer, const Inbox& inbox) noexcept {
    for (const Message& message : inbox.messages()) {
        EXPECT_EQ(message.from, peer);
        EXPECT_EQ(message.to, node.self.node);
        EXPECT_EQ(core_of(message.group), reactor.core());
        heard[peer].push_back(message.sequence);
        groups_heard.insert(message.group.value());
        if (echo) say(peer, message.group, message.sequence);
    }
}

void SimPeerCore::on_connected(NodeId peer, std::uint64_t boot) noexcept {
    EXPECT_TRUE(connected_boot.emplace(peer, boot).second) << "told twice";
}

void SimPeerCore::on_disconnected(NodeId peer) noexcept {
    EXPECT_EQ(connected_boot.erase(peer), 1u) << "was not connected";
    ++disconnections;
}

void SimPeerCore::on_unreachable(NodeId) noexcept {
    ++unreachable;
}

void SimPeerCore::on_message(CoreId, const io::Message& message) noexcept {
    if (message.kind == adopt_kind) {
        const std::unique_ptr<Handshake> theirs(static_cast<Handshake*>(message.payload));
        return transport.adopt(static_cast<std::int32_t>(message.value), *theirs);
    }
    const std::unique_ptr<Block> block(static_cast<Block*>(message.payload));
    Inbox inbox;
    EXPECT_TRUE(
        read_block(as_bytes(block->bytes), {block->from, node.self.node}, inbox).has_value());
    on_inbox(block->from, inbox);
}

bool SimPeerCore::say(NodeId to, GroupId group, std::uint64_t number, std::size_t entry_bytes) {
    std::string entry(entry_header_bytes + entry_bytes, 'e');
    Message message;
    message.group = group;
    message.from = node.self.node;
    message.to = to;
    message.term = Term(2);
    message.sequence = number;
    AppendRequest append;
    append.previous = {Term(1), Index(4)};
    if (entry_bytes != 0) {
        const MutableBytes memory(reinterpret_cast<std::byte*>(entry.data()), entry.size());
        seal_entry(memory, group, Term(2), Index(5), 1, EntryKind::commands);
        append.entries.push_back(memory);
    }
    message.body = std::move(append);
    return transport.send(message);
}

bool SimPeerCore::beat(NodeId to, GroupId group, std::uint64_t number) {
    Message message;
    message.group = group;
    message.from = node.self.node;
    message.to = to;
    message.sequence = number;
    message.body = HeartbeatRequest{};
    return transport.send(message);
}

SimPeer::SimPeer(io::SimWorld& w, NodeId id, std::uint16_t cores_count, std::uint64_t boot,
                 const LinkLimits& limits)
    : world(w), process(w, id, cores_count) {
    self.state = NodeState::member;
    self.cluster = {1, 2};
    self.node = id;
    self.store = {id.value(), 1};
    self.boot = boot;
    for (std::size_t i = 0; i < cores_count; ++i) {
        cores.push_back(std::make_unique<SimPeerCore>(*this, process.reactor(i), limits));
    }
    acceptor = std::make_unique<PeerAcceptor>(process.reactor(), *cores[0], *this, limits);
}

SimPeer::~SimPeer() {
    process.kill();
}

io::Endpoint SimPeer::endpoint_of(NodeId node, std::uint16_t at) {
    return *io::parse_endpoint("10.0.0." + std::to_string(node.value()), at);
}

void SimPeer::start(std::initializer_list<NodeId> others) {
    std::vector<PeerAddress> addresses;
    for (const NodeId other : others) addresses.push_back({other, endpoint_of(other)});
    start(std::move(addresses));
}

void SimPeer::start(std::vector<PeerAddress> others) {
    for (const PeerAddress& other : others) {
        Acquaintance& one = known[other.node];
        one.member = true;
        if (one.store == StoreId{}) one.store = {other.node.value(), 1};
    }
    ASSERT_TRUE(process.run(begin(std::move(others))));
}

io::Task<void> SimPeer::begin(std::vector<PeerAddress> others) {
    const io::Endpoint wanted = endpoint_of(self.node);
    const Result<io::Endpoint> bound = co_await acceptor->listen(wanted);
    EXPECT_TRUE(bound.has_value());
    for (std::size_t i = 0; i < cores.size(); ++i) {
        auto connect = [&](io::Reactor&) { cores[i]->transport.set_peers(others); };
        co_await io::call_on(process.reactor(), core_at(i), connect);
    }
}

void SimPeer::stop() {
    ASSERT_TRUE(process.run(end(), 1min));
}

io::Task<void> SimPeer::end() {
    co_await acceptor->stop();
    for (std::size_t i = 0; i < cores.size(); ++i) {
        auto stop = [&](io::Reactor&) -> io::Task<void> { co_await cores[i]->transport.stop(); };
        co_await io::call_on(process.reactor(), core_at(i), stop);
    }
}

bool SimPeer::connected(NodeId to) const {
    for (const auto& core : cores) {
        if (!core->connected_boot.contains(to)) return false;
    }
    return true;
}

std::uint64_t SimPeer::heard_from(NodeId peer) const {
    std::uint64_t sum = 0;
    for (const auto& core : cores) {
        const auto at = core->heard.find(peer);
        if (at != core->heard.end()) sum += at->second.size();
    }
    return sum;
}

void SimPeer::take(std::int32_t fd, const Handshake& theirs, CoreId core) noexcept {
    if (core == CoreId(0)) return cores[0]->transport.adopt(fd, theirs);
    auto copy = std::make_unique<Handshake>(theirs);
    process.reactor().mailboxes().send(
        core, {SimPeerCore::adopt_kind, static_cast<std::uint32_t>(fd), copy.release()});
}

}  // namespace kv::consensus
