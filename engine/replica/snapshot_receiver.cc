#include "engine/replica/snapshot_receiver.h"

#include <algorithm>

#include "engine/store/cut.h"
#include "io/aligned_buffer.h"
#include "io/await.h"
#include "io/file.h"
#include "proto/base/log.h"

namespace kv {

/// What has arrived of one snapshot.
class SnapshotReceiver::Incoming final : private snapshot::Sink {
public:
    Incoming(Slab& slab, std::uint64_t hash_secret, StoreId sender, StoreId own, ShardId of,
             const SnapshotBegin& begin, std::string slots)
        : shard(of),
          snapshot(begin.snapshot),
          size(begin.size),
          position(std::get<SnapshotRequest>(begin.request.body).position),
          store(slab, hash_secret),
          own_(own),
          group_(begin.request.group),
          slots_(std::move(slots)),
          parser_(sender, {begin.request.group, position.index}, *this),
          buffer_(snapshot::frame_bytes_max) {}

    bool is(ShardId other, const SnapshotBegin& begin) const {
        return other == shard && begin.snapshot == snapshot && begin.size == size &&
               std::get<SnapshotRequest>(begin.request.body).position == position;
    }
    /// Up to here it was taken: whole frames.
    std::uint64_t offset() const noexcept { return parser_.offset(); }
    std::uint64_t arrived() const noexcept { return offset() + partial_.size(); }
    bool complete() const noexcept { return parser_.ended() && partial_.empty(); }
    void forget_partial() noexcept { partial_.clear(); }
    void add(Bytes bytes) { partial_.append(as_text(bytes)); }
    const snapshot::Head& head() const noexcept { return parser_.head(); }
    const Configuration& configuration() const noexcept { return configuration_; }

    /// The next frame, loaded, and sealed for this node; empty: more must arrive. Errors: those of
    /// snapshot::Parser.
    Result<Bytes> next_frame() {
        if (partial_.empty()) return Bytes{};
        const Bytes bytes = as_bytes(partial_);
        const auto taken = parser_.take(bytes);
        if (!taken) {
            const bool more = taken.error().code == Errc::truncated &&
                              partial_.size() < snapshot::frame_bytes_max;
            if (more) return Bytes{};
            return fail(taken.error());
        }
        KV_CHECK(seal(bytes.first(*taken)));
        partial_.erase(0, *taken);
        return Bytes(buffer_.first(*taken));
    }

    /// Nothing is under way but what is to come over the connection. Else what breaks it off leaves
    /// nobody knows what in the file and the store.
    bool at_rest = true;
    const ShardId shard;
    const std::uint64_t snapshot;
    const std::uint64_t size;
    const LogPosition position;
    Store store;
    io::File file;
    std::string path;

private:
    Status seal(Bytes frame) {
        const auto section = load_le<std::uint16_t>(frame.data() + 4);
        const auto payload_bytes = load_le<std::uint32_t>(frame.data() + 8);
        if (section > static_cast<std::uint16_t>(snapshot::SectionTag::end)) {
            return fail(Errc::unsupported, "a section that is not known");
        }
        const MutableBytes out = buffer_.first(frame.size());
        std::memcpy(out.data(), frame.data(), frame.size());
        const auto tag = static_cast<snapshot::SectionTag>(section);
        if (tag == snapshot::SectionTag::head) {
            snapshot::Head own = parser_.head();
            own.store = own_;
            snapshot::encode_head(own, out.subspan(snapshot::frame_header_bytes));
        }
        snapshot::seal_frame(out, payload_bytes, tag, own_, group_, sealed_);
        return {};
    }

    Status on_head(const snapshot::Head& head) override {
        if (LogPosition{head.term, head.index} != position) {
            return fail(Errc::corrupt, "a snapshot of another position");
        }
        loader_.emplace(store, head.revision);
        return {};
    }
    Status on_slots(Bytes payload) override {
        if (as_text(payload) == slots_) return {};
        return fail(Errc::foreign, "its slots are not those of the shard");
    }
    Status on_configuration(Bytes payload) override {
        KV_TRY(configuration_, decode_configuration(payload));
        return {};
    }
    Status on_entries(Bytes bytes) override { return loader_->feed(bytes); }
    Status on_end() override { return loader_->finish(head().keys); }

    const StoreId own_;
    const GroupId group_;
    const std::string slots_;
    Configuration configuration_;
    std::optional<StoreLoader> loader_;
    snapshot::Parser parser_;
    snapshot::FramePosition sealed_;
    std::string partial_;  ///< the front of a frame
    io::AlignedBuffer buffer_;
};

SnapshotReceiver::SnapshotReceiver(io::Reactor& reactor, Snapshots& snapshots,
                                   const std::vector<std::unique_ptr<Replica>>& replicas,
                                   Slab& slab, std::uint64_t hash_secret, NodeId self, Owner& owner)
    : reactor_(reactor),
      snapshots_(snapshots),
      replicas_(replicas),
      slab_(slab),
      hash_secret_(hash_secret),
      self_(self),
      owner_(owner),
      expire_timer_(*this),
      ended_(reactor) {}

SnapshotReceiver::~SnapshotReceiver() {
    reactor_.timers().disarm(expire_timer_);
}

std::uint64_t SnapshotReceiver::bytes_taken() const noexcept {
    return incoming_ ? incoming_->offset() : 0;
}

void SnapshotReceiver::adopt(std::int32_t fd, const Handshake& theirs) {
    KV_ASSERT(routes_ != nullptr);
    auto link = std::make_unique<consensus::SnapshotLink>(reactor_, routes_->book());
    link->adopt(fd, theirs);
    const Caller caller = caller_of(theirs);
    const std::size_t shard = caller.shard.value();
    const bool here = shard < replicas_.size() && replicas_[shard];
    if (here && !stopping_ && !serving_ && has_turn(caller)) {
        link_ = std::move(link);
        serving_ = true;
        ended_.reset();
        reactor_.timers().disarm(expire_timer_);
        reactor_.spawn(serve());
        return;
    }
    if (link_ && caller_of(link_->theirs()) == caller) {
        // A sender that comes again has lost the connection before.
        link_->break_off("the sender came again");
    } else if (here) {
        note_refused(caller);
    }
    reactor_.spawn(turn_away(std::move(link)));
}

/// Nobody else who still wants to was refused earlier.
bool SnapshotReceiver::has_turn(const Caller& caller) {
    const Instant now = reactor_.now();
    std::erase_if(refused_, [&](const Refused& one) { return now - one.last > turn_within; });
    if (refused_.empty()) return true;
    if (refused_.front().caller != caller) return false;
    refused_.pop_front();
    return true;
}

void SnapshotReceiver::note_refused(const Caller& caller) {
    const auto found = std::ranges::find(refused_, caller, &Refused::caller);
    if (found != refused_.end()) {
        found->last = reactor_.now();
    } else if (refused_.size() < refused_max) {
        refused_.push_back({caller, reactor_.now()});
    }
}

io::Task<void> SnapshotReceiver::turn_away(std::unique_ptr<consensus::SnapshotLink> link) {
    co_await link->close(false);
}

io::Task<void> SnapshotReceiver::stop() {
    stopping_ = true;
    reactor_.timers().disarm(expire_timer_);
    if (link_) link_->break_off("the node stops");
    if (serving_) co_await ended_.wait();
    co_await discard();
}

void SnapshotReceiver::expire() {
    serving_ = true;
    ended_.reset();
    const auto run = [](SnapshotReceiver* self) -> io::Task<void> {
        co_await self->discard();
        self->serving_ = false;
        self->ended_.set();
    };
    reactor_.spawn(run(this));
}

io::Task<void> SnapshotReceiver::serve() {
    const Caller caller = caller_of(link_->theirs());
    const std::uint64_t before = counters_.bytes;
    const Status status = co_await take(link_.get());
    const bool goes_on = link_->broken() && incoming_ && incoming_->at_rest;
    if (!status && !goes_on) co_await discard();
    co_await link_->close(status.has_value());
    link_.reset();
    std::uint64_t passed_over = 0;
    if (!status && status.error().code != Errc::canceled) {
        ++counters_.failed;
        if (!stopping_ && log_rate_.allow(reactor_.now(), passed_over)) {
            log::warn("a snapshot of the leader has not arrived, it will come again",
                      log::field("peer", caller.node.value()), log::field("bytes", bytes_taken()),
                      log::field("why", status.error().text()),
                      log::field("passed_over", passed_over));
        }
    }
    if (incoming_ && !stopping_) {
        incoming_->forget_partial();
        if (counters_.bytes > before) refused_.push_front({caller, reactor_.now()});
        reactor_.timers().arm(expire_timer_, reactor_.now() + resume_within);
    }
    serving_ = false;
    ended_.set();
}

io::Task<Status> SnapshotReceiver::take(consensus::SnapshotLink* link) {
    KV_CO_TRY(const auto first, co_await link->receive());
    const Route route{link->theirs().node, self_};
    KV_CO_TRY(const SnapshotBegin asked, decode_snapshot_begin(first.frame(), route));
    const ShardId shard(link->theirs().core.value());
    if (asked.request.group != Placement::group_of(shard)) {
        co_return fail(Errc::corrupt, "a snapshot of another shard");
    }
    offer_.reset();
    owner_.on_snapshot_request(asked.request);
    co_await io::NextTurn(reactor_);  // the group says what it wants at the end of this one
    const bool wanted = offer_ && offer_->group == asked.request.group &&
                        offer_->sequence == asked.request.sequence;
    if (!wanted) co_return fail(Errc::canceled, "it is not needed");
    KV_CO_CHECK(co_await begin(&asked));
    std::string answer;
    encode_snapshot_resume(incoming_->offset(), answer);
    KV_CO_CHECK(co_await link->send(std::move(answer)));
    KV_CO_CHECK(co_await take_chunks(link, asked.snapshot));
    KV_CO_CHECK(co_await finish(&asked));
    std::string done;
    encode_snapshot_resume(asked.size, done);
    KV_CO_CHECK(co_await link->send(std::move(done)));
    // The sender closes when it has heard this.
    const auto end = co_await link->receive();
    static_cast<void>(end);
    co_return Status{};
}

/// Makes room for what comes, unless the front of it is here.
io::Task<Status> SnapshotReceiver::begin(const SnapshotBegin* asked) {
    const ShardId shard(static_cast<std::uint16_t>(asked->request.group.value() - 1));
    if (incoming_ && incoming_->is(shard, *asked)) {
        incoming_->forget_partial();
        ++counters_.resumed;
        co_return Status{};
    }
    co_await discard();
    auto incoming = std::make_unique<Incoming>(slab_, hash_secret_, link_->theirs().store,
                                               snapshots_.options().store, shard, *asked,
                                               snapshots_.slots(shard));
    incoming->path = snapshots_.arriving_path(shard, incoming->position.index);
    const Status removed = co_await io::remove_file(reactor_, incoming->path);
    if (!removed && removed.error().code != Errc::not_found) co_return removed;
    const std::uint32_t flags =
        io::open_write | io::open_create | (snapshots_.direct() ? io::open_direct : 0u);
    KV_CO_TRY(incoming->file, co_await io::File::open(reactor_, incoming->path, flags));
    incoming_ = std::move(incoming);
    co_return Status{};
}

io::Task<Status> SnapshotReceiver::take_chunks(consensus::SnapshotLink* link,
                                               std::uint64_t snapshot) {
    while (true) {
        incoming_->at_rest = true;
        KV_CO_TRY(const auto received, co_await link->receive());
        incoming_->at_rest = false;
        if (received.kind == FrameKind::snapshot_end) {
            KV_CO_TRY(const std::uint64_t named, decode_snapshot_end(received.frame()));
            if (named == snapshot && incoming_->complete()) co_return Status{};
            co_return fail(Errc::corrupt, "it ends before its end");
        }
        KV_CO_TRY(const SnapshotChunk chunk, decode_snapshot_chunk(received.frame()));
        if (chunk.offset != incoming_->arrived() ||
            chunk.bytes.size() > incoming_->size - incoming_->arrived()) {
            co_return fail(Errc::corrupt, "a chunk that is not the next one");
        }
        incoming_->add(chunk.bytes);
        while (true) {
            const std::uint64_t at = incoming_->offset();
            KV_CO_TRY(const Bytes frame, incoming_->next_frame());
            if (frame.empty()) break;
            KV_CO_CHECK(co_await incoming_->file.write_at(at, frame, false));
            counters_.bytes += frame.size();
        }
    }
}

io::Task<Status> SnapshotReceiver::finish(const SnapshotBegin* asked) {
    Incoming& incoming = *incoming_;
    const Index index = incoming.position.index;
    KV_CO_CHECK(co_await incoming.file.sync());
    co_await incoming.file.close();
    if (!owner_.wants_snapshot(incoming.shard, index)) {
        co_await discard();
        co_return Status{};
    }
    const std::string path = snapshots_.final_path(incoming.shard, index);
    KV_CO_CHECK(co_await io::rename_file(reactor_, incoming.path, path));
    KV_CO_CHECK(co_await io::sync_directory(reactor_, snapshots_.options().directory));
    Complete complete;
    complete.shard = incoming.shard;
    complete.request = asked->request;
    complete.head = incoming.head();
    complete.configuration = incoming.configuration();
    complete.bytes = incoming.size;
    complete.store = &incoming.store;
    if (stopping_ || !owner_.install(complete)) {
        // The group knows better, or this is the end: the next start is not to believe the file.
        if (!snapshots_.has_file(incoming.shard, index)) incoming.path = path;
        co_await discard();
        co_return co_await io::sync_directory(reactor_, snapshots_.options().directory);
    }
    ++counters_.installed;
    log::info("a snapshot of the leader is installed", log::field("shard", complete.shard.value()),
              log::field("index", index.value()), log::field("keys", complete.head.keys),
              log::field("bytes", complete.bytes));
    incoming_.reset();
    co_return Status{};
}

/// Lets go what has arrived; what was loaded in slices.
io::Task<void> SnapshotReceiver::discard() {
    if (!incoming_) co_return;
    const std::unique_ptr<Incoming> old = std::move(incoming_);
    if (old->file.is_open()) co_await old->file.close();
    const Status removed = co_await io::remove_file(reactor_, old->path);
    static_cast<void>(removed);  // the next start removes it
    Command flush;
    flush.kind = CommandKind::flush;
    old->store.apply(flush, 0);
    while (old->store.reclaim(reclaim_per_turn)) co_await io::NextTurn(reactor_);
}

}  // namespace kv
