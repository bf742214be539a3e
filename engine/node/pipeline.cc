#include "engine/node/pipeline.h"

#include <algorithm>

#include "proto/base/bytes.h"
#include "proto/base/copy.h"

namespace kv {

namespace {
constexpr std::size_t first_arg_bytes_max = 128;
/// A slot keeps a buffer for small keys and replies; larger ones are given back.
constexpr std::size_t kept_bytes_max = 512;
/// The same for the replies that have no slot, all together.
constexpr std::size_t kept_ready_bytes_max = std::size_t{64} << 10;
}  // namespace

Slot& Pipeline::push(const Request& request, std::size_t charge, std::int64_t now_ns) {
    if (slots() > mask_) grow();
    Slot& slot = at(tail_++);
    slot.state = Slot::State::done;
    slot.verb = request.verb;
    slot.protocol = request.protocol;
    slot.rendered = false;
    slot.refused = false;
    slot.key_slot = SlotId();
    slot.parts_left = 0;
    slot.parts_applied = 0;
    slot.request_id = request.request_id;
    slot.number = 0;
    slot.has_previous = false;
    slot.silent = false;
    slot.plain = false;
    slot.kept = false;
    slot.tries = 0;
    slot.again = false;
    slot.command_flags = 0;
    slot.begun_ns = now_ns;
    slot.args = request.args.size();
    const std::string_view arg = slot.args == 0 ? std::string_view() : request.args[0];
    const std::size_t kept = std::min(arg.size(), first_arg_bytes_max);
    slot.first_arg.resize_and_overwrite(kept, [arg, kept](char* to, std::size_t) {
        copy_short(to, arg.substr(0, kept));
        return kept;
    });
    slot.ready = slot.ready_bytes = 0;
    slot.charge = charge;
    charge_ += charge;
    return slot;
}

void Pipeline::grow() {
    std::vector<Slot> larger(slots_.size() * 2);
    for (std::uint64_t number = head_; number != tail_; ++number) {
        larger[number & (larger.size() - 1)] = std::move(at(number));
    }
    slots_ = std::move(larger);
    mask_ = slots_.size() - 1;
}

void Pipeline::pop(std::string& out) {
    KV_ASSERT(!empty());
    Slot& slot = front();
    charge_ -= slot.charge;
    if (slot.bytes.capacity() > kept_bytes_max) release(slot.bytes);
    slot.bytes.clear();
    ++head_;
    if (slot.ready == 0) return;
    ready_count_ -= slot.ready;
    take_ready(slot.ready_bytes, out);
}

void Pipeline::take_ready(std::size_t bytes, std::string& out) {
    out.append(ready_, ready_taken_, bytes);
    ready_taken_ += bytes;
    // No byte is moved more than once on average.
    const std::size_t left = ready_.size() - ready_taken_;
    if (ready_taken_ < left || (left != 0 && ready_taken_ < kept_ready_bytes_max)) return;
    ready_.erase(0, ready_taken_);
    ready_taken_ = 0;
    ready_ended_ = left;
    if (left == 0 && ready_.capacity() > kept_ready_bytes_max) release(ready_);
}

void Pipeline::add_ready() noexcept {
    Slot& newest = at(tail_ - 1);
    const std::size_t bytes = ready_.size() - ready_ended_;
    ready_ended_ = ready_.size();
    ++ready_count_;
    ++newest.ready;
    newest.ready_bytes += bytes;
    add_charge(newest, bytes);
}

void Pipeline::drop_ready(std::size_t begin) noexcept {
    Slot& newest = at(tail_ - 1);
    const std::size_t bytes = ready_ended_ - begin;
    KV_ASSERT(newest.ready != 0 && bytes <= newest.ready_bytes);
    --ready_count_;
    --newest.ready;
    newest.ready_bytes -= bytes;
    newest.charge -= bytes;
    charge_ -= bytes;
    ready_.resize(begin);
    ready_ended_ = begin;
}

}  // namespace kv
