#pragma once

/// UringBackend: operations become submissions, completions become Op completions. Made on, and
/// used by, the reactor's own thread only.

#include <array>
#include <memory>
#include <vector>

#include "io/backend.h"
#include "io/uring/ring.h"

namespace kv::io {

class UringBackend final : public Backend {
public:
    /// Errors: `unsupported`, one sentence that says what is missing and what to do.
    static Result<std::unique_ptr<UringBackend>> create(const UringOptions& options = {});
    ~UringBackend() override = default;

    /// The rings of all cores of this node, by core, before the first wake(). They stay open for as
    /// long as any of the backends is used.
    void set_peers(std::vector<int> ring_fds) { peers_ = std::move(ring_fds); }
    int ring_fd() const noexcept { return ring_.fd(); }

    std::size_t poll(Duration wait_max, Instant& time) override;
    void wake(CoreId core) override;
    Instant now() noexcept override;
    std::int64_t wall_ns() noexcept override;
    Duration cpu_time() noexcept override;
    Endpoint endpoint_of(std::int32_t fd, bool peer) noexcept override;
    void fill_entropy(MutableBytes out) noexcept override;
    std::byte* buffer(std::uint16_t id) noexcept override { return ring_.buffer(id); }
    void recycle(std::uint16_t id) noexcept override { ring_.recycle(id); }
    std::string describe() const override { return ring_.describe(); }

private:
    /// For how long one poll delivers completions; what is left is the next one's. Bounds a turn
    /// under load: each completion of a receive is a buffer full of requests.
    static constexpr Duration delivery_max = 500us;

    UringBackend() = default;
    void start(Op& op) override;
    void request_cancel(Op& op) override;
    /// Operations for which io_uring has no opcode: done at once, completed by the next poll.
    void complete_later(Op& op, std::int32_t result) { done_.push_back({&op, result}); }
    std::size_t deliver_done();
    void on_doorbell_failed(std::uint64_t user_data, std::int32_t result);
    unsigned deliver_completions(Instant until);

    struct Done {
        Op* op;
        std::int32_t result;
    };
    Ring ring_;
    std::vector<int> peers_;
    std::vector<Done> done_;
    std::vector<Done> delivering_;
    std::uint64_t syncs_in_flight_ = 0;
};

}  // namespace kv::io
