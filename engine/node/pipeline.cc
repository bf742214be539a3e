#include "engine/node/pipeline.h"

#include "proto/base/bytes.h"

namespace kv {

namespace {
constexpr std::size_t compact_bytes = std::size_t{64} << 10;
constexpr std::size_t kept_bytes_max = std::size_t{1} << 20;
}  // namespace

Slot& Pipeline::push(const Request& request, std::size_t bytes) {
    if (size() == slots_.size()) grow();
    Slot& slot = at(tail_++);
    slot = Slot{};
    slot.verb = request.verb;
    slot.protocol = request.protocol;
    slot.request_id = request.request_id;
    slot.bytes = bytes;
    bytes_ += bytes;
    return slot;
}

void Pipeline::grow() {
    std::vector<Slot> larger(slots_.size() * 2);
    for (std::uint64_t number = head_; number != tail_; ++number) {
        larger[number & (larger.size() - 1)] = std::move(at(number));
    }
    slots_ = std::move(larger);
}

void Pipeline::park(Slot& slot, std::span<const std::string_view> args) {
    slot.state = Slot::State::parked;
    const std::size_t before = arguments_.size();
    for (const std::string_view arg : args) {
        char length[4];
        store_le<std::uint32_t>(length, static_cast<std::uint32_t>(arg.size()));
        arguments_.append(length, sizeof length);
        arguments_.append(arg);
    }
    slot.args_count = static_cast<std::uint32_t>(args.size());
    slot.args_bytes = static_cast<std::uint32_t>(arguments_.size() - before);
}

std::span<const std::string_view> Pipeline::front_args() {
    views_.clear();
    std::string_view rest = std::string_view(arguments_).substr(arguments_at_);
    for (std::uint32_t i = 0; i < front().args_count; ++i) {
        const auto length = load_le<std::uint32_t>(rest.data());
        views_.push_back(rest.substr(4, length));
        rest.remove_prefix(4 + std::size_t{length});
    }
    return views_;
}

void Pipeline::pop() {
    KV_ASSERT(!empty());
    Slot& slot = front();
    bytes_ -= slot.bytes;
    arguments_at_ += slot.args_bytes;
    slot.reply.reset();
    ++head_;
    if (arguments_at_ == arguments_.size()) {
        arguments_at_ = 0;
        if (arguments_.capacity() > kept_bytes_max) {
            arguments_ = {};
        } else {
            arguments_.clear();
        }
    } else if (arguments_at_ >= compact_bytes && arguments_at_ * 2 >= arguments_.size()) {
        arguments_.erase(0, arguments_at_);
        arguments_at_ = 0;
    }
}

}  // namespace kv
