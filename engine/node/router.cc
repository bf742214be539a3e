#include "engine/node/router.h"

#include <algorithm>
#include <new>
#include <utility>

#include "proto/base/copy.h"

namespace kv {

namespace {

constexpr std::size_t alignment = 8;
constexpr std::size_t kept_key_bytes_max = 512;
/// Requests of a batch whose memory is fetched together.
constexpr std::size_t ahead = 16;
/// What a request or an answer costs a turn beside its bytes.
constexpr std::size_t record_cost_bytes = 64;

enum class RequestKind : std::uint8_t { command, read, read_behind, read_unconfirmed };
enum class AnswerKind : std::uint8_t { applied, refused, read };

/// Lets `out` grow to `bytes`; what is new has any contents. (The size that libstdc++ 12 passes to
/// the function is the new capacity.)
void grow(std::string& out, std::size_t bytes) {
    out.resize_and_overwrite(bytes, [bytes](char*, std::size_t) { return bytes; });
}

/// Appends a record, a header and what belongs to it, so that the next header is aligned again. The
/// header lies in the batch, all zero but for payload_bytes, for the caller to fill in at once.
template <typename Header>
Header& append_record(std::string& out, std::string_view payload) {
    const std::size_t at = out.size();
    grow(out, round_up(at + sizeof(Header) + payload.size(), alignment));
    char* const place = out.data() + at;
    copy_short(place + sizeof(Header), payload);
    Header& header = *new (place) Header{};
    header.payload_bytes = static_cast<std::uint32_t>(payload.size());
    return header;
}

/// Takes the record at the front of `bytes`, which this program wrote. The header stays where it
/// is: a batch is longer than what a string holds in itself, so it is as aligned as any memory.
template <typename Header>
const Header& take_record(std::string_view& bytes, std::string_view& payload) {
    KV_ASSERT(bytes.size() >= sizeof(Header));
    const Header& header = *std::launder(reinterpret_cast<const Header*>(bytes.data()));
    const std::size_t end = round_up(sizeof header + header.payload_bytes, alignment);
    KV_ASSERT(bytes.size() >= end);
    payload = {bytes.data() + sizeof header, header.payload_bytes};
    bytes.remove_prefix(end);
    return header;
}

}  // namespace

/// Never leaves the process: in the order and alignment of this machine.
struct Router::RequestHeader {
    void* owner;
    std::uint64_t request;
    std::uint32_t part;
    std::uint32_t payload_bytes;
    RequestKind kind;
    bool wants_value;  ///< of a read
    std::uint16_t shard;
};

struct Router::AnswerHeader {
    void* owner;
    std::uint64_t request;
    std::uint32_t part;
    std::uint32_t payload_bytes;
    std::int64_t number;  ///< of a refusal: the node that leads
    std::uint64_t revision;
    AnswerKind kind;
    bool has_value;  ///< the payload is the value found, or the one before
    bool refused;    ///< `error` says why
    std::uint16_t error;
};

Router::Router(io::Reactor& reactor, ReplicaSet& replicas, RouteHandler& handler)
    : reactor_(reactor),
      replicas_(replicas),
      handler_(handler),
      core_(reactor.core()),
      peers_(reactor.mailboxes().cores()) {
    replicas_.set_handler(this);
    for (const std::uint32_t kind : {requests_kind, answers_kind, returned_kind}) {
        reactor_.mailboxes().set_receiver(kind, this);
    }
    reactor_.add_turn_hook(*this, io::Reactor::Phase::commit);
}

Router::~Router() {
    for (const std::uint32_t kind : {requests_kind, answers_kind, returned_kind}) {
        reactor_.mailboxes().set_receiver(kind, nullptr);
    }
    replicas_.set_handler(nullptr);
    reactor_.remove_turn_hook(*this);
}

// --- batches -------------------------------------------------------------------------------------

/// Where the next record of this kind goes.
inline std::string& Router::open_batch(Batch*& open, CoreId to, std::uint32_t kind) {
    if (open == nullptr || open->bytes.size() >= batch_bytes) [[unlikely]]
        next_batch(open, to, kind);
    return open->bytes;
}

void Router::next_batch(Batch*& open, CoreId to, std::uint32_t kind) {
    close_batch(open, to, kind);
    if (free_batches_.empty()) {
        batches_.push_back(std::make_unique<Batch>());
        open = batches_.back().get();
        open->place = batches_.size() - 1;
    } else {
        open = free_batches_.back();
        free_batches_.pop_back();
        free_bytes_ -= memory_of(*open);
    }
}

void Router::close_batch(Batch*& open, CoreId to, std::uint32_t kind) {
    if (open == nullptr) return;
    reactor_.mailboxes().send(to, {kind, 0, std::exchange(open, nullptr)});
}

void Router::take_back(Batch& batch) {
    batch.bytes.clear();
    batch.taken = 0;
    if (batch.bytes.capacity() > kept_batch_bytes_max) release(batch.bytes);
    if (free_bytes_ + memory_of(batch) <= free_bytes_max) {
        free_bytes_ += memory_of(batch);
        free_batches_.push_back(&batch);
        return;
    }
    const std::size_t place = batch.place;
    std::swap(batches_[place], batches_.back());
    batches_[place]->place = place;
    batches_.pop_back();
}

void Router::at_turn_end() {
    for (std::size_t i = 0; i < peers_.size(); ++i) {
        const CoreId to(static_cast<std::uint16_t>(i));
        close_batch(peers_[i].requests, to, requests_kind);
        close_batch(peers_[i].answers, to, answers_kind);
    }
    const bool was = std::exchange(congested_, reactor_.mailboxes().congested());
    if (was && !congested_) {
        handler_.on_uncongested();
        reactor_.want_turn();
    }
}

void Router::on_message(CoreId from, const io::Message& message) noexcept {
    auto& batch = *static_cast<Batch*>(message.payload);
    switch (message.kind) {
        case requests_kind: execute(from, batch); break;
        case answers_kind: take_answers(batch); break;
        default: KV_ASSERT(message.kind == returned_kind); return take_back(batch);
    }
    if (batch.taken != batch.bytes.size()) return reactor_.mailboxes().deliver_again();
    reactor_.mailboxes().send(from, {returned_kind, 0, &batch});
}

// --- what this core asks others ------------------------------------------------------------------

void Router::propose(ShardId shard, const Command& command, const Waiter& waiter) {
    const CoreId to = replicas_.placement().core_of(shard);
    std::string& out = open_batch(peer(to).requests, to, requests_kind);
    RequestHeader header{};
    header.owner = waiter.owner;
    header.request = waiter.request;
    header.part = waiter.part;
    header.kind = RequestKind::command;
    header.shard = shard.value();
    header.payload_bytes = static_cast<std::uint32_t>(encoded_bytes(command));
    out.append(reinterpret_cast<const char*>(&header), sizeof header);
    encode_command(out, command);
    grow(out, round_up(out.size(), alignment));
}

void Router::read(ShardId shard, std::string_view key, Reading how, const Waiter& waiter) {
    const CoreId to = replicas_.placement().core_of(shard);
    RequestHeader& header =
        append_record<RequestHeader>(open_batch(peer(to).requests, to, requests_kind), key);
    header.owner = waiter.owner;
    header.request = waiter.request;
    header.part = waiter.part;
    header.kind = how.behind_writes ? RequestKind::read_behind : RequestKind::read;
    if (how.unconfirmed) header.kind = RequestKind::read_unconfirmed;
    header.wants_value = how.wants_value;
    header.shard = shard.value();
}

// --- what others ask this core -------------------------------------------------------------------

/// Fetches what a few requests will touch, then executes them, until the turn has done enough.
void Router::execute(CoreId from, Batch& requests) {
    struct Request {
        const RequestHeader* header;
        std::string_view payload;
        std::uint64_t hash;
        std::size_t end;  ///< in the batch
    };
    io::Mailboxes& mailboxes = reactor_.mailboxes();
    std::array<Request, ahead> some;
    while (requests.taken != requests.bytes.size() && !mailboxes.spent()) {
        std::string_view rest = std::string_view(requests.bytes).substr(requests.taken);
        std::size_t count = 0;
        while (count < ahead && !rest.empty()) {
            Request& request = some[count++];
            const auto& header = take_record<RequestHeader>(rest, request.payload);
            request.header = &header;
            request.end = requests.bytes.size() - rest.size();
            if (header.kind == RequestKind::command) continue;
            const Store& store = replicas_.store(ShardId(header.shard));
            request.hash = store.hash(request.payload);
            store.prefetch(request.hash);
        }
        for (std::size_t i = 0; i < count; ++i) {
            if (some[i].header->kind == RequestKind::command) continue;
            replicas_.store(ShardId(some[i].header->shard)).prefetch_block(some[i].hash);
        }
        for (std::size_t i = 0; i < count && !mailboxes.spent(); ++i) {
            const RequestHeader& header = *some[i].header;
            const std::uint64_t answered = answer_bytes_;
            execute({header.owner, header.request, header.part, from}, header, some[i].payload,
                    some[i].hash);
            mailboxes.spend(record_cost_bytes + some[i].end - requests.taken + answer_bytes_ -
                            answered);
            requests.taken = some[i].end;
        }
    }
}

void Router::execute(const Waiter& origin, const RequestHeader& header, std::string_view payload,
                     std::uint64_t hash) {
    ++pending_;
    if (header.kind != RequestKind::command) return execute_read(origin, header, payload, hash);
    const auto refusal = replicas_.propose(ShardId(header.shard), as_bytes(payload), origin);
    if (refusal) answer_refusal(origin, refusal_of(replicas_, ShardId(header.shard), *refusal));
}

void Router::execute_read(const Waiter& origin, const RequestHeader& header, std::string_view key,
                          std::uint64_t hash) {
    const ShardId shard(header.shard);
    if (header.kind == RequestKind::read_unconfirmed) {
        return answer_read(origin, replicas_.store(shard).get(key, hash), header.wants_value);
    }
    const bool behind = header.kind == RequestKind::read_behind;
    if (free_reads_.empty()) free_reads_.push_back(&reads_.emplace_back());
    WaitingRead* const read = free_reads_.back();
    switch (replicas_.begin_read(shard, Waiter{read, 0, 0, origin.core}, hash, behind)) {
        case ReadTurn::now: break;
        case ReadTurn::later:
            free_reads_.pop_back();  // until on_readable
            read->origin = origin;
            read->key.assign(key);
            read->wants_value = header.wants_value;
            return;
        case ReadTurn::never:
            return answer_refusal(origin, refusal_of(replicas_, shard, Errc::no_leader));
    }
    answer_read(origin, replicas_.store(shard).get(key, hash), header.wants_value);
}

void Router::on_applied(std::span<const Applied> applied) noexcept {
    for (const Applied& one : applied) {
        if (one.waiter.owner == nullptr) continue;
        if (one.waiter.core == core_) {
            handler_.on_applied(one.waiter, one.result);
            continue;
        }
        if (one.waiter.core == internal_core) {
            InternalWaiter::of(one.waiter).on_applied(one.waiter, one.result);
            continue;
        }
        AnswerHeader& header = answer(one.waiter, one.result.previous.value_or(std::string_view()));
        header.kind = AnswerKind::applied;
        header.number = one.result.number;
        header.revision = one.result.revision.value();
        header.refused = one.result.refused.has_value();
        if (header.refused) header.error = static_cast<std::uint16_t>(*one.result.refused);
        header.has_value = one.result.previous.has_value();
    }
}

void Router::on_readable(const Replica& replica, std::span<const Waiter> readers) noexcept {
    for (const Waiter& reader : readers) {
        if (reader.core == core_) {
            handler_.on_readable(reader, replica.store());
            continue;
        }
        if (reader.core == internal_core) {
            InternalWaiter::of(reader).on_readable(reader, replica.store());
            continue;
        }
        auto* const read = static_cast<WaitingRead*>(reader.owner);
        const Store& store = replica.store();
        answer_read(read->origin, store.get(read->key, store.hash(read->key)), read->wants_value);
        give_back(read);
    }
}

void Router::give_back(WaitingRead* read) {
    if (read->key.capacity() > kept_key_bytes_max) release(read->key);
    free_reads_.push_back(read);
}

Refused Router::refusal_by(const Replica& replica, Errc reason) const noexcept {
    ShardId shard;
    const bool known = replicas_.placement().shard_of(replica.group().id(), shard);
    KV_ASSERT(known);
    return refusal_of(replicas_, shard, reason);
}

void Router::on_dropped(const Replica& replica, std::span<const Waiter> waiters,
                        Errc reason) noexcept {
    const Refused refusal = refusal_by(replica, reason);
    for (const Waiter& waiter : waiters) {
        if (waiter.owner == nullptr) continue;
        if (waiter.core == core_) {
            handler_.on_refused(waiter, refusal);
        } else if (waiter.core == internal_core) {
            InternalWaiter::of(waiter).on_refused(waiter, refusal);
        } else {
            answer_refusal(waiter, refusal);
        }
    }
}

void Router::on_reads_dropped(const Replica& replica, std::span<const Waiter> readers,
                              Errc reason) noexcept {
    const Refused refusal = refusal_by(replica, reason);
    for (const Waiter& reader : readers) {
        if (reader.core == core_) {
            handler_.on_refused(reader, refusal);
            continue;
        }
        if (reader.core == internal_core) {
            InternalWaiter::of(reader).on_refused(reader, refusal);
            continue;
        }
        auto* const read = static_cast<WaitingRead*>(reader.owner);
        answer_refusal(read->origin, refusal);
        give_back(read);
    }
}

// --- answers -------------------------------------------------------------------------------------

/// The rest of the header is the caller's to fill in.
Router::AnswerHeader& Router::answer(const Waiter& origin, std::string_view value) {
    --pending_;
    answer_bytes_ += sizeof(AnswerHeader) + value.size();
    AnswerHeader& header = append_record<AnswerHeader>(
        open_batch(peer(origin.core).answers, origin.core, answers_kind), value);
    header.owner = origin.owner;
    header.request = origin.request;
    header.part = origin.part;
    return header;
}

void Router::answer_refusal(const Waiter& origin, Refused refusal) {
    AnswerHeader& header = answer(origin, {});
    header.kind = AnswerKind::refused;
    header.error = static_cast<std::uint16_t>(refusal.reason);
    header.number = static_cast<std::int64_t>(refusal.leader.value());
}

void Router::answer_read(const Waiter& origin, const std::optional<Store::Found>& found,
                         bool wants_value) {
    AnswerHeader& header = answer(origin, found && wants_value ? found->value : std::string_view());
    header.kind = AnswerKind::read;
    header.has_value = found.has_value();
    if (found) header.revision = found->revision.value();
}

void Router::take_answers(Batch& answers) {
    std::string_view rest = std::string_view(answers.bytes).substr(answers.taken);
    while (!rest.empty() && !reactor_.mailboxes().spent()) {
        std::string_view value;
        const auto& header = take_record<AnswerHeader>(rest, value);
        take_answer(header, value);
        reactor_.mailboxes().spend(record_cost_bytes + sizeof header + value.size());
    }
    answers.taken = answers.bytes.size() - rest.size();
}

void Router::take_answer(const AnswerHeader& header, std::string_view value) {
    const Waiter waiter{header.owner, header.request, header.part, core_};
    const auto error = static_cast<Errc>(header.error);
    switch (header.kind) {
        case AnswerKind::refused: {
            const NodeId leader(static_cast<std::uint64_t>(header.number));
            return handler_.on_refused(waiter, {error, leader});
        }
        case AnswerKind::read: {
            std::optional<Store::Found> found;
            if (header.has_value) found = {value, Revision(header.revision)};
            return handler_.on_read(waiter, found);
        }
        case AnswerKind::applied: {
            Store::Applied result{header.number, Revision(header.revision), {}, {}};
            if (header.refused) result.refused = error;
            if (header.has_value) result.previous = value;
            return handler_.on_applied(waiter, result);
        }
    }
}

}  // namespace kv
