#pragma once

/// A backend whose clock the test sets and which completes nothing.

#include <vector>

#include "io/backend.h"

namespace kv::io {

class ManualBackend : public Backend {
public:
    std::size_t poll(Duration wait_max, Instant& woken_at) override {
        waited += wait_max;
        ++polls;
        time += time_per_poll;
        woken_at = time;
        return 0;
    }
    void wake(CoreId core) override { woken.push_back(core); }
    Instant now() noexcept override { return time; }
    std::int64_t wall_ns() noexcept override { return 0; }
    void fill_entropy(MutableBytes) noexcept override {}
    std::byte* buffer(std::uint16_t) noexcept override { return nullptr; }
    void recycle(std::uint16_t) noexcept override {}
    std::string describe() const override { return "manual"; }

    Instant time{};
    Duration waited{};  ///< what the reactor would have waited
    std::vector<CoreId> woken;
    std::uint64_t polls = 0;
    Duration time_per_poll{};

private:
    void start(Op&) override {}
    void request_cancel(Op&) override {}
};

}  // namespace kv::io
