#include "consensus/drive/link.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

namespace kv::consensus {

namespace {

constexpr std::size_t kept_buffer_bytes_max = std::size_t{1} << 20;

}  // namespace

Link::Link(io::Reactor& reactor, std::int32_t fd, Owner& owner, const LinkLimits& limits) noexcept
    : reactor_(reactor),
      owner_(owner),
      limits_(limits),
      stream_(reactor, fd, *this),
      queue_(limits.queued_bytes_max),
      begun_(reactor.now()),
      last_received_(begun_),
      last_progress_(begun_),
      last_frame_(begun_) {}

void Link::ask(const Handshake& own) {
    KV_ASSERT(state_ == State::made);
    asked_ = true;
    state_ = State::asking;
    own_nonce_ = own.nonce;
    send_handshake(own);
    resume();
}

void Link::answer(const Handshake& own, const Handshake& theirs) {
    KV_ASSERT(state_ == State::made);
    theirs_ = theirs;
    own_nonce_ = own.nonce;
    begin(theirs);
    send_handshake(own);
    resume();
}

void Link::begin(const Handshake& theirs) {
    state_ = State::open;
    send_seal_ = FrameSeal(own_nonce_, theirs.nonce);
    receive_seal_ = FrameSeal(theirs.nonce, own_nonce_);
}

void Link::send_handshake(const Handshake& own) {
    sending_.clear();
    encode_handshake(own, sending_);
    sent_ = 0;
    last_progress_ = reactor_.now();
    stream_.send(as_bytes(sending_));
}

void Link::resume() {
    if (state_ == State::closing) return;
    last_received_ = reactor_.now();
    stream_.receive();
}

// --- sending -------------------------------------------------------------------------------------

void Link::flush() {
    if (state_ == State::open && !stream_.sending()) send_more();
}

void Link::send_more() {
    if (sent_ == sending_.size()) {
        if (queue_.empty()) return;
        if (sending_.capacity() > kept_buffer_bytes_max) sending_ = {};
        queue_.take(send_seal_, sending_);
        sent_ = 0;
        last_frame_ = last_progress_ = reactor_.now();
    }
    stream_.send(as_bytes(std::string_view(sending_).substr(sent_)));
}

void Link::on_sent(std::size_t bytes) noexcept {
    sent_ += bytes;
    bytes_sent_ += bytes;
    last_progress_ = reactor_.now();
    // Behind the question nothing is sent before its answer; the rest of it is.
    if (state_ == State::open || sent_ != sending_.size()) send_more();
}

// --- receiving -----------------------------------------------------------------------------------

void Link::on_received(Bytes bytes) noexcept {
    bytes_received_ += bytes.size();
    last_received_ = reactor_.now();
    if (state_ == State::closing) return;
    if (input_.empty()) {
        const std::size_t taken = take(bytes);
        if (state_ != State::closing) input_.append(as_text(bytes.subspan(taken)));
        return;
    }
    input_.append(as_text(bytes));
    if (input_.size() < input_needed_) return;
    std::string input = std::exchange(input_, {});  // what takes it may close the link
    const std::size_t taken = take(as_bytes(input));
    if (state_ == State::closing) return;
    if (input.capacity() > kept_buffer_bytes_max && input.size() == taken) return;
    input.erase(0, taken);
    input_ = std::move(input);
}

/// Takes what is whole, and says how much that was.
std::size_t Link::take(Bytes bytes) {
    input_needed_ = 0;
    std::size_t taken = 0;
    if (state_ == State::asking) taken = take_answer(bytes);
    if (state_ == State::open) taken += take_frames(bytes.subspan(taken));
    return taken;
}

std::size_t Link::take_answer(Bytes bytes) {
    std::size_t taken = 0;
    auto theirs = decode_handshake(bytes, taken);
    if (!theirs) {
        if (theirs.error().code != Errc::truncated) break_off(theirs.error().text());
        return 0;
    }
    theirs_ = *std::move(theirs);
    if (!owner_.on_answer(*this, theirs_)) {
        close();
        return taken;
    }
    begin(theirs_);
    flush();
    return taken;
}

std::size_t Link::take_frames(Bytes bytes) {
    std::size_t taken = 0;
    while (taken < bytes.size()) {
        const Bytes rest = bytes.subspan(taken);
        const auto frame = decode_frame(rest, receive_seal_);
        if (!frame) {
            if (frame.error().code != Errc::truncated) {
                break_off(frame.error().text());
            } else if (rest.size() >= frame_header_bytes) {
                input_needed_ = frame_header_bytes + load_le<std::uint32_t>(rest.data() + 8);
            }
            break;
        }
        taken += frame_header_bytes + frame->payload.size();
        const Status status = owner_.on_frame(*this, *frame);
        if (state_ == State::closing) break;
        if (!status) {
            break_off(status.error().text());
            break;
        }
    }
    return taken;
}

// --- the end -------------------------------------------------------------------------------------

void Link::tick(Instant now) {
    if (state_ == State::closing) return;
    if (state_ != State::open) {
        if (now - begun_ > limits_.handshake_timeout) break_off("the handshake took too long");
        return;
    }
    if (!stream_.paused() && now - last_received_ > limits_.silence_max) {
        return break_off("nothing was heard for too long");
    }
    if (!stream_.sending()) last_progress_ = now;
    if (now - last_progress_ > limits_.stall_max) return break_off("it takes no bytes");
    if (!stream_.sending() && now - last_frame_ >= limits_.idle_after) {
        queue_.add_idle();
        flush();
    }
}

void Link::on_ended(std::int32_t error) noexcept {
    if (state_ == State::closing) return;
    break_off(error == 0 ? "closed by the peer" : std::generic_category().message(error));
}

void Link::break_off(const std::string& why) {
    close();
    owner_.on_broken(*this, why);
}

void Link::close() noexcept {
    if (state_ == State::closing) return;
    state_ = State::closing;
    queue_.clear();
    input_.clear();
    stream_.close();
}

void Link::on_closed() noexcept {
    owner_.on_gone(*this);
}

}  // namespace kv::consensus
