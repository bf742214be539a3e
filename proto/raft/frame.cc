#include "proto/raft/frame.h"

#include <fmt/format.h>

#include "proto/base/checksum.h"

namespace kv {

namespace {

constexpr std::uint32_t frame_magic = 0x3146564b;  // "KVF1"
constexpr std::size_t header_checksum_at = 12;
constexpr std::size_t checksum_at = 16;
constexpr std::size_t heartbeat_bytes = 40;
constexpr std::size_t heartbeat_reply_bytes = 32;

std::uint64_t word(Bytes bytes, std::size_t number) noexcept {
    return load_le<std::uint64_t>(bytes.data() + 8 * number);
}

std::uint32_t header_checksum(Bytes header, std::uint64_t seed) noexcept {
    return static_cast<std::uint32_t>(checksum(header.first(header_checksum_at), seed));
}

bool may_be_long(FrameKind kind) noexcept {
    return kind == FrameKind::messages || kind == FrameKind::forwards ||
           kind == FrameKind::forward_replies;
}

/// Looks at the header at the front of `bytes`, whose checksum was verified or never was there.
Result<Frame> read_header(Bytes bytes) {
    const auto number = load_le<std::uint8_t>(bytes.data() + 4);
    const auto flags = load_le<std::uint8_t>(bytes.data() + 5);
    const auto reserved = load_le<std::uint16_t>(bytes.data() + 6);
    const std::size_t payload_bytes = load_le<std::uint32_t>(bytes.data() + 8);
    if (number < 1 || number > 10 || flags != 0 || reserved != 0) {
        return fail(Errc::unsupported,
                    fmt::format("peer frame of kind {}, flags {:#x}", number, flags));
    }
    const auto kind = static_cast<FrameKind>(number);
    const std::size_t bytes_max =
        may_be_long(kind) ? lone_payload_bytes_max : frame_payload_bytes_max;
    if (payload_bytes > bytes_max) {
        return fail(Errc::corrupt, fmt::format("peer frame of {} bytes", payload_bytes));
    }
    if (bytes.size() - frame_header_bytes < payload_bytes) return fail(Errc::truncated);
    const Bytes payload = bytes.subspan(frame_header_bytes, payload_bytes);
    if (payload_bytes > frame_payload_bytes_max &&
        load_le<std::uint32_t>(payload.data()) != payload_bytes) {
        return fail(Errc::corrupt, "a long peer frame of more than one message");
    }
    return Frame{kind, payload};
}

/// The forwarded request at the front of `bytes`. `replies`: with an outcome.
Result<Forward> decode_forward(Bytes bytes, bool replies, std::size_t& all) {
    if (bytes.size() < forward_header_bytes) return fail(Errc::truncated);
    all = load_le<std::uint32_t>(bytes.data());
    const auto outcome = load_le<std::uint32_t>(bytes.data() + 4);
    if (all < forward_header_bytes || all > bytes.size()) {
        return fail(Errc::corrupt, fmt::format("a forwarded request of {} bytes", all));
    }
    if (outcome > (replies ? static_cast<std::uint32_t>(Outcome::applied) : 0u)) {
        return fail(Errc::unsupported, fmt::format("a forwarded request of outcome {}", outcome));
    }
    Forward forward;
    forward.group = GroupId(word(bytes, 1));
    forward.request = word(bytes, 2);
    forward.outcome = static_cast<Outcome>(outcome);
    forward.content = bytes.subspan(forward_header_bytes, all - forward_header_bytes);
    return forward;
}

/// Sorts the items of a frame by core. Items for one core in a row share a frame of its block.
class Splitter {
public:
    Splitter(const Frame& frame, Route route, CoreId here, FrameRoutes* routes, Inbox& inbox)
        : frame_(frame), route_(route), here_(here), routes_(routes), inbox_(inbox) {}

    Status run() {
        switch (frame_.kind) {
            case FrameKind::messages: return messages();
            case FrameKind::heartbeats: return heartbeats(heartbeat_bytes);
            case FrameKind::heartbeat_replies: return heartbeats(heartbeat_reply_bytes);
            case FrameKind::forwards:
            case FrameKind::forward_replies: return forwards();
            case FrameKind::idle:
                if (!frame_.payload.empty()) return fail(Errc::corrupt, "an idle frame with bytes");
                return {};
            case FrameKind::snapshot_begin:
            case FrameKind::snapshot_chunk:
            case FrameKind::snapshot_resume:
            case FrameKind::snapshot_end:
                return fail(Errc::unsupported,
                            "a frame of a snapshot on a connection for messages");
        }
        KV_UNREACHABLE("frame kind {}", static_cast<unsigned>(frame_.kind));
    }

private:
    Status messages() {
        for (Bytes rest = frame_.payload; !rest.empty();) {
            const auto extent = measure_message(rest);
            if (!extent) return fail(Errc::corrupt, extent.error().text());
            const Bytes message = rest.first(extent->bytes);
            rest = rest.subspan(extent->bytes);
            if (is_here(extent->group)) {
                KV_CHECK(inbox_.add(message, route_));
            } else {
                pass_on(message);
            }
        }
        end_run();
        return {};
    }

    Status heartbeats(std::size_t item_bytes) {
        const Bytes all = frame_.payload;
        if (all.size() < 8 || (all.size() - 8) % item_bytes != 0) {
            return fail(Errc::corrupt, fmt::format("heartbeats of {} bytes", all.size()));
        }
        prefix_ = all.first(8);
        for (Bytes rest = all.subspan(8); !rest.empty(); rest = rest.subspan(item_bytes)) {
            const Bytes item = rest.first(item_bytes);
            if (!is_here(GroupId(word(item, 0)))) {
                pass_on(item);
                continue;
            }
            Message& message = inbox_.add();
            message.group = GroupId(word(item, 0));
            message.from = route_.from;
            message.to = route_.to;
            message.term = Term(word(item, 1));
            message.boot = word(prefix_, 0);
            message.sequence = word(item, 2);
            if (frame_.kind == FrameKind::heartbeats) {
                message.body = HeartbeatRequest{Index(word(item, 3)), word(item, 4)};
            } else {
                message.body = HeartbeatReply{word(item, 3)};
            }
        }
        end_run();
        return {};
    }

    Status forwards() {
        const bool replies = frame_.kind == FrameKind::forward_replies;
        for (Bytes rest = frame_.payload; !rest.empty();) {
            std::size_t all = 0;
            const auto forward = decode_forward(rest, replies, all);
            if (!forward)
                return fail(
                    forward.error().code == Errc::truncated ? Errc::corrupt : forward.error().code,
                    forward.error().text());
            const CoreId core = routes_ == nullptr ? here_
                                : replies          ? routes_->core_of_request(forward->request)
                                                   : routes_->core_of(forward->group);
            core_ = core;
            if (core != here_) {
                pass_on(rest.first(all));
            } else {
                (replies ? inbox_.forward_replies : inbox_.forwards).push_back(*forward);
            }
            rest = rest.subspan(all);
        }
        end_run();
        return {};
    }

    bool is_here(GroupId group) {
        core_ = routes_ == nullptr ? here_ : routes_->core_of(group);
        return core_ == here_;
    }

    /// `item` is for core_.
    void pass_on(Bytes item) {
        if (block_ == nullptr || run_core_ != core_) {
            end_run();
            run_core_ = core_;
            block_ = &routes_->block_of(core_, route_.from);
            run_at_ = begin_frame(frame_.kind, *block_);
            block_->append(as_text(prefix_));
        }
        block_->append(as_text(item));
    }
    void end_run() noexcept {
        if (block_ != nullptr) end_frame(*block_, run_at_);
        block_ = nullptr;
    }

    const Frame& frame_;
    const Route route_;
    const CoreId here_;
    FrameRoutes* const routes_;  ///< null: everything is for `here_`
    Inbox& inbox_;
    Bytes prefix_;  ///< what each frame of these items begins with
    CoreId core_;
    CoreId run_core_;
    std::string* block_ = nullptr;
    std::size_t run_at_ = 0;
};

}  // namespace

FrameSeal::FrameSeal(std::uint64_t sender_nonce, std::uint64_t receiver_nonce) noexcept
    : seed_(mix_seed(sender_nonce, receiver_nonce)) {}

std::uint64_t FrameSeal::seed() const noexcept {
    return mix_seed(seed_, number_);
}

std::size_t begin_frame(FrameKind kind, std::string& out) {
    const std::size_t at = out.size();
    out.resize(at + frame_header_bytes);
    store_le<std::uint32_t>(out.data() + at, frame_magic);
    store_le<std::uint8_t>(out.data() + at + 4, static_cast<std::uint8_t>(kind));
    return at;
}

void end_frame(std::string& out, std::size_t at) noexcept {
    const std::size_t payload_bytes = out.size() - at - frame_header_bytes;
    KV_ASSERT(payload_bytes <= lone_payload_bytes_max);
    store_le<std::uint32_t>(out.data() + at + 8, static_cast<std::uint32_t>(payload_bytes));
}

void seal_frames(std::string& bytes, FrameSeal& seal) noexcept {
    for (std::size_t at = 0; at < bytes.size();) {
        char* const header = bytes.data() + at;
        const std::size_t payload_bytes = load_le<std::uint32_t>(header + 8);
        const Bytes frame =
            as_bytes(std::string_view(bytes)).subspan(at, frame_header_bytes + payload_bytes);
        store_le<std::uint32_t>(header + header_checksum_at, header_checksum(frame, seal.seed()));
        store_le<std::uint64_t>(header + checksum_at,
                                checksum(frame.subspan(frame_header_bytes), seal.seed()));
        seal.next();
        at += frame.size();
    }
}

Result<Frame> decode_frame(Bytes bytes, FrameSeal& seal) {
    if (bytes.size() < frame_header_bytes) return fail(Errc::truncated);
    const std::uint64_t seed = seal.seed();
    // Before any other field counts.
    if (load_le<std::uint32_t>(bytes.data()) != frame_magic ||
        load_le<std::uint32_t>(bytes.data() + header_checksum_at) != header_checksum(bytes, seed)) {
        return fail(Errc::corrupt, "the header of a peer frame is not what it should be");
    }
    KV_TRY(const Frame frame, read_header(bytes));
    if (load_le<std::uint64_t>(bytes.data() + checksum_at) != checksum(frame.payload, seed)) {
        return fail(Errc::corrupt, "the checksum of a peer frame disagrees");
    }
    seal.next();
    return frame;
}

Result<Frame> next_of_block(Bytes bytes) {
    if (bytes.size() < frame_header_bytes) return fail(Errc::truncated);
    if (load_le<std::uint32_t>(bytes.data()) != frame_magic) return fail(Errc::corrupt);
    return read_header(bytes);
}

void encode_forward(const Forward& forward, std::string& out) {
    const std::size_t at = out.size();
    const std::size_t bytes = forward_header_bytes + forward.content.size();
    KV_ASSERT(bytes <= lone_payload_bytes_max, "{} bytes", bytes);
    out.resize(at + forward_header_bytes);
    char* const to = out.data() + at;
    store_le<std::uint32_t>(to, static_cast<std::uint32_t>(bytes));
    store_le<std::uint32_t>(to + 4, static_cast<std::uint32_t>(forward.outcome));
    store_le<std::uint64_t>(to + 8, forward.group.value());
    store_le<std::uint64_t>(to + 16, forward.request);
    out.append(as_text(forward.content));
}

void Inbox::clear() noexcept {
    for (std::size_t i = 0; i < messages_count_; ++i) {
        if (auto* append = std::get_if<AppendRequest>(&messages_[i].body)) {
            entry_lists_.push_back(std::move(append->entries));
        }
    }
    messages_count_ = 0;
    forwards.clear();
    forward_replies.clear();
}

Message& Inbox::add() {
    if (messages_count_ == messages_.size()) messages_.emplace_back();
    return messages_[messages_count_++];
}

Status Inbox::add(Bytes message, Route route) {
    std::vector<Bytes> memory;
    if (!entry_lists_.empty()) {
        memory = std::move(entry_lists_.back());
        entry_lists_.pop_back();
    }
    Status status = decode_message(message, route, add(), std::move(memory));
    if (!status) --messages_count_;
    return status;
}

Status split_by_core(const Frame& frame, Route route, CoreId here, FrameRoutes& routes,
                     Inbox& inbox) {
    return Splitter(frame, route, here, &routes, inbox).run();
}

Status read_block(Bytes block, Route route, Inbox& inbox) {
    while (!block.empty()) {
        KV_TRY(const Frame frame, next_of_block(block));
        KV_CHECK(Splitter(frame, route, CoreId(0), nullptr, inbox).run());
        block = block.subspan(frame_header_bytes + frame.payload.size());
    }
    return {};
}

}  // namespace kv
