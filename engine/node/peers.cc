#include "engine/node/peers.h"

#include "io/await.h"
#include "proto/base/log.h"

namespace kv {

namespace {

NodeState state_of(Membership membership) noexcept {
    switch (membership) {
        case Membership::member: return NodeState::member;
        case Membership::empty: return NodeState::empty;
        case Membership::forming: return NodeState::forming;
    }
    KV_UNREACHABLE();
}

Membership membership_of(NodeState state) noexcept {
    switch (state) {
        case NodeState::member: return Membership::member;
        case NodeState::empty: return Membership::empty;
        case NodeState::forming: return Membership::forming;
    }
    KV_UNREACHABLE();
}

}  // namespace

Peers::Peers(io::Reactor& reactor, const Config& config, const DataDirectory& directory)
    : reactor_(reactor),
      config_(config),
      own_(introduction(directory)),
      transport_(reactor, *this, *this),
      heard_(reactor),
      reminder_(*this),
      tick_timer_(*this) {
    reactor_.add_turn_hook(*this, io::Reactor::Phase::answer);
    reactor_.mailboxes().set_receiver(adopt_kind, this);
    reactor_.mailboxes().set_receiver(block_kind, this);
    reactor_.mailboxes().set_receiver(returned_kind, this);
    introduce_as(directory);
}

Peers::~Peers() {
    reactor_.timers().disarm(tick_timer_);
    reactor_.timers().disarm(reminder_);
    reactor_.remove_turn_hook(*this);
    reactor_.mailboxes().set_receiver(adopt_kind, nullptr);
    reactor_.mailboxes().set_receiver(block_kind, nullptr);
    reactor_.mailboxes().set_receiver(returned_kind, nullptr);
}

Handshake Peers::introduction(const DataDirectory& directory) const {
    const Identity& identity = directory.identity();
    Handshake own;
    own.state = state_of(identity.membership);
    own.core = reactor_.core();
    own.cores = static_cast<std::uint16_t>(reactor_.mailboxes().cores());
    own.cluster = {identity.cluster.high, identity.cluster.low};
    own.node = identity.node;
    own.store = identity.store;
    own.boot = identity.boot;
    own.members_digest =
        list_digest(self_of(directory).nodes, identity.shards, config_.cluster.leaders);
    return own;
}

void Peers::introduce_as(const DataDirectory& directory) {
    own_ = introduction(directory);
    addresses_.clear();
    const FormingSelf self = self_of(directory);
    for (const Member& member : self.nodes.members) {
        if (member.node == own_.node) continue;
        Acquaintance& one = known_[member.node];
        one.member = true;
        one.store = directory.pinned(member.node).value_or(StoreId{});
        const auto endpoint = io::parse_endpoint(member.host, member.peer_port);
        KV_ASSERT(endpoint.has_value(), "a member without an address: {}", member.host);
        addresses_.push_back({member.node, *endpoint});
    }
    if (!connecting_) return;
    transport_.set_peers({});
    transport_.set_peers(addresses_);
}

void Peers::connect() {
    connecting_ = true;
    transport_.set_peers(addresses_);
}

void Peers::serve(ReplicaSet& replicas, Forwarder& forwarder) {
    replicas_ = &replicas;
    forwarder_ = &forwarder;
    forwarder_->set_sender(this);
    placement_ = &replicas.placement();
    reactor_.timers().arm(tick_timer_, reactor_.now() + tick_period);
}

io::Task<void> Peers::stop() {
    stopping_ = true;
    if (forwarder_ != nullptr) forwarder_->set_sender(nullptr);
    replicas_ = nullptr;
    reactor_.timers().disarm(tick_timer_);
    reactor_.timers().disarm(reminder_);
    if (acceptor_) co_await acceptor_->stop();
    co_await transport_.stop();
}

io::Task<Status> Peers::listen() {
    consensus::PeerBook& book = *this;
    consensus::PeerAcceptor::Taker& taker = *this;
    acceptor_ = std::make_unique<consensus::PeerAcceptor>(reactor_, book, taker);
    KV_CO_TRY(const io::Endpoint wanted, io::parse_endpoint(config_.peer.bind, config_.peer.port));
    const Result<io::Endpoint> bound = co_await acceptor_->listen(wanted);
    if (!bound) {
        co_return fail(Errc::io, bound.error().text() +
                                     ": stop what uses the address, or choose another "
                                     "(peer.bind, peer.port)");
    }
    co_return Status{};
}

// --- who is who ----------------------------------------------------------------------------------

Acquaintance Peers::know(NodeId node) noexcept {
    const auto found = known_.find(node);
    return found == known_.end() ? Acquaintance{} : found->second;
}

void Peers::on_met(const Handshake& theirs) noexcept {
    const auto known = known_.find(theirs.node);
    if (known != known_.end()) known->second.boot = std::max(known->second.boot, theirs.boot);
    heard(theirs);
    // Members have the same list and shards, for it was formed. Said once, by the first core.
    const bool members = own_.state == NodeState::member && theirs.state == NodeState::member;
    if (!members || theirs.members_digest == own_.members_digest) return;
    if (reactor_.core() != CoreId(0) || told_leaders_) return;
    told_leaders_ = true;
    log::warn(
        "a node has another cluster.leaders than this one, so that both hand leadership over again "
        "and again: make it equal on all nodes",
        log::field("peer", theirs.node.value()));
}

void Peers::on_refused(const Handshake& theirs, std::uint16_t, bool) noexcept {
    heard(theirs);
}

void Peers::heard(const Handshake& theirs) {
    if (own_.state == NodeState::member || !known_.contains(theirs.node)) return;
    PeerSaid said;
    said.node = theirs.node;
    said.store = theirs.store;
    said.cluster = {theirs.cluster.high, theirs.cluster.low};
    said.membership = membership_of(theirs.state);
    said.list = theirs.members_digest;
    said_[theirs.node] = std::move(said);
    heard_.set();
}

// --- forming -------------------------------------------------------------------------------------

FormingSelf Peers::self_of(const DataDirectory& directory) const {
    const Identity& identity = directory.identity();
    FormingSelf self;
    self.node = identity.node;
    self.store = identity.store;
    self.cluster = identity.cluster;
    self.membership = identity.membership;
    self.shards = identity.shards;
    self.leaders = config_.cluster.leaders;
    self.nodes = identity.membership == Membership::empty ? listed(config_.cluster.nodes)
                                                          : directory.members().formed;
    return self;
}

/// Makes the step durable, then lets the others know; or waits for more to be heard.
io::Task<Status> Peers::take_step(DataDirectory& directory, FormingDecision decision) {
    StoreId cluster = decision.cluster;
    Status done;
    switch (decision.step) {
        case FormingStep::mint: cluster = mint(directory, decision.formed); [[fallthrough]];
        case FormingStep::adopt:
            done = co_await directory.form(cluster, std::move(decision.formed));
            break;
        case FormingStep::join: done = co_await directory.become_member(); break;
        case FormingStep::serve: break;
        case FormingStep::wait:
        case FormingStep::stay_out:
        case FormingStep::refuse: co_await heard_.wait(); co_return done;
    }
    if (done) introduce_as(directory);
    co_return done;
}

StoreId Peers::mint(const DataDirectory& directory, const Configuration& formed) {
    std::uint64_t random = 0;
    reactor_.backend().fill_entropy({reinterpret_cast<std::byte*>(&random), sizeof random});
    return mint_cluster_id(random, formed, directory.identity().shards);
}

io::Task<Status> Peers::form(DataDirectory& directory) {
    if (directory.identity().membership != Membership::empty) {
        const auto change = list_change(directory.members().formed, listed(config_.cluster.nodes));
        if (change) log::error(*change);
    }
    reactor_.timers().arm(reminder_, reactor_.now() + reminder_period);
    while (directory.identity().membership != Membership::member) {
        heard_.reset();
        const FormingSelf self = self_of(directory);
        std::vector<PeerSaid> said;
        for (const auto& [node, one] : said_) said.push_back(one);
        FormingDecision decision = decide_forming(self, said);
        if (decision.why != told_) {
            told_ = decision.why;
            const bool mistake =
                decision.step == FormingStep::stay_out || decision.step == FormingStep::refuse;
            if (mistake) {
                log::error(told_);
            } else {
                log::info(told_);
            }
        }
        KV_CO_CHECK(co_await take_step(directory, std::move(decision)));
    }
    reactor_.timers().disarm(reminder_);
    said_.clear();
    co_return Status{};
}

/// Who looks at the log later is to find what is missing.
void Peers::remind() {
    told_.clear();
    heard_.set();
    reactor_.timers().arm(reminder_, reactor_.now() + reminder_period);
}

// --- messages ------------------------------------------------------------------------------------

void Peers::send(const Message& message) noexcept {
    static_cast<void>(transport_.send(message));  // lost is lost: Raft sends again what matters
}

void Peers::flush() noexcept {
    transport_.flush();
}

std::optional<io::Endpoint> Peers::endpoint_of(NodeId node) noexcept {
    const auto found = std::ranges::find(addresses_, node, &consensus::PeerAddress::node);
    if (found == addresses_.end()) return std::nullopt;
    return found->endpoint;
}

CoreId Peers::core_of(GroupId group) noexcept {
    ShardId shard;
    if (placement_ == nullptr || !placement_->shard_of(group, shard)) return reactor_.core();
    return placement_->core_of(shard);
}

CoreId Peers::core_of_request(std::uint64_t request) noexcept {
    const auto cores = static_cast<std::uint16_t>(reactor_.mailboxes().cores());
    return Forwarder::core_of_request(request, cores);
}

std::string& Peers::block_of(CoreId core, NodeId from) noexcept {
    return blocks_[{core, from}];
}

Peers::Parcel& Peers::take_parcel() {
    ++passed_parcels_;
    counters_.passed_parcels_max = std::max(counters_.passed_parcels_max, passed_parcels_);
    if (free_parcels_.empty()) {
        parcels_.push_back(std::make_unique<Parcel>());
        return *parcels_.back();
    }
    Parcel& parcel = *free_parcels_.back();
    free_parcels_.pop_back();
    return parcel;
}

void Peers::at_turn_end() {
    for (auto& [way, bytes] : blocks_) {
        if (bytes.empty()) continue;
        Parcel& parcel = take_parcel();
        parcel.from = way.second;
        parcel.block.swap(bytes);
        bytes.clear();
        passed_bytes_ += parcel.block.size();
        reactor_.mailboxes().send(way.first, {block_kind, 0, &parcel});
    }
    if (!transport_.reading()) return;
    if (passed_parcels_ < passed_parcels_max && passed_bytes_ < passed_bytes_max) return;
    ++counters_.reading_pauses;
    transport_.set_reading(false);
}

void Peers::on_returned(Parcel& parcel) {
    --passed_parcels_;
    passed_bytes_ -= parcel.block.size();
    // There is no telling what else such a peer says.
    if (std::exchange(parcel.refused, false)) transport_.break_off(parcel.from);
    if (parcel.block.capacity() > kept_block_bytes_max) release(parcel.block);
    parcel.block.clear();
    free_parcels_.push_back(&parcel);
    if (passed_parcels_ <= passed_parcels_max / 2 && passed_bytes_ <= passed_bytes_max / 2) {
        transport_.set_reading(true);
    }
}

void Peers::on_inbox(NodeId peer, const Inbox& inbox) noexcept {
    if (replicas_ == nullptr) return;
    for (const Message& message : inbox.messages()) replicas_->step(message);
    for (const Forward& request : inbox.forwards) forwarder_->on_request(peer, request);
    for (const Forward& reply : inbox.forward_replies) forwarder_->on_reply(peer, reply);
}

void Peers::on_connected(NodeId peer, std::uint64_t) noexcept {
    log::debug("connected to a peer", log::field("peer", peer.value()));
}

void Peers::on_disconnected(NodeId peer) noexcept {
    // What an empty directory says is out of date once it cannot be asked again.
    const auto said = said_.find(peer);
    if (said != said_.end() && said->second.membership == Membership::empty) {
        said_.erase(said);
        heard_.set();
    }
    if (replicas_ == nullptr) return;
    replicas_->disconnected(peer);
    forwarder_->disconnected(peer);
}

/// (Whose forwarded request was dropped knows it already: send_forward().)
void Peers::on_unreachable(NodeId peer) noexcept {
    if (replicas_ != nullptr) replicas_->disconnected(peer);
}

void Peers::take(std::int32_t fd, const Handshake& theirs, CoreId core) noexcept {
    if (core == reactor_.core()) return adopt(fd, theirs);
    Parcel& parcel = take_parcel();
    parcel.fd = fd;
    parcel.theirs = theirs;
    reactor_.mailboxes().send(core, {adopt_kind, 0, &parcel});
}

void Peers::adopt(std::int32_t fd, const Handshake& theirs) {
    const bool snapshot = theirs.purpose == Purpose::snapshot;
    if (stopping_ || (snapshot && replicas_ == nullptr)) {
        reactor_.spawn(close(fd));
        return;
    }
    if (snapshot) return replicas_->adopt_snapshot(fd, theirs);
    transport_.adopt(fd, theirs);
}

io::Task<void> Peers::close(std::int32_t fd) {
    io::OpRequest request;
    request.code = io::OpCode::close;
    request.fd = fd;
    co_await io::OpAwaiter(reactor_, request);
}

void Peers::on_message(CoreId from, const io::Message& message) noexcept {
    Parcel& parcel = *static_cast<Parcel*>(message.payload);
    if (message.kind == returned_kind) return on_returned(parcel);
    if (message.kind == adopt_kind) {
        adopt(parcel.fd, parcel.theirs);
    } else {
        inbox_.clear();
        const Status read = read_block(as_bytes(parcel.block), {parcel.from, own_.node}, inbox_);
        if (!read) refuse(parcel, read.error());
        on_inbox(parcel.from, inbox_);
        reactor_.mailboxes().spend(parcel.block.size());
    }
    reactor_.mailboxes().send(from, {returned_kind, 0, &parcel});
}

void Peers::refuse(Parcel& parcel, const Error& error) {
    parcel.refused = true;
    ++counters_.blocks_refused;
    std::uint64_t passed_over = 0;
    if (!refused_rate_.allow(reactor_.now(), passed_over)) return;
    log::warn("a peer sent what cannot be read", log::field("peer", parcel.from.value()),
              log::field("error", error.text()), log::field("passed_over", passed_over));
}

void Peers::tick() {
    if (replicas_ == nullptr) return;
    replicas_->tick();
    reactor_.timers().arm(tick_timer_, reactor_.now() + tick_period);
}

}  // namespace kv
