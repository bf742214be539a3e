#include "engine/node/pipeline.h"

namespace kv {

namespace {
constexpr std::size_t first_arg_bytes_max = 128;
/// A slot keeps a buffer for small keys and replies; larger ones are given back.
constexpr std::size_t kept_bytes_max = 512;
}  // namespace

Slot& Pipeline::push(const Request& request, std::size_t charge, std::int64_t now_ns) {
    if (size() == slots_.size()) grow();
    Slot& slot = at(tail_++);
    slot.state = Slot::State::done;
    slot.verb = request.verb;
    slot.protocol = request.protocol;
    slot.rendered = false;
    slot.refused = false;
    slot.parts_left = 0;
    slot.parts_applied = 0;
    slot.request_id = request.request_id;
    slot.number = 0;
    slot.has_previous = false;
    slot.silent = false;
    slot.command_flags = 0;
    slot.begun_ns = now_ns;
    slot.args = request.args.size();
    slot.first_arg.clear();
    if (slot.args != 0) slot.first_arg.append(request.args[0].substr(0, first_arg_bytes_max));
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
}

void Pipeline::pop() {
    KV_ASSERT(!empty());
    Slot& slot = front();
    charge_ -= slot.charge;
    if (slot.bytes.capacity() > kept_bytes_max) slot.bytes = {};
    slot.bytes.clear();
    ++head_;
}

}  // namespace kv
