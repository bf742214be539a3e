#pragma once

/// Pulse: whether all cores of the node turn. The first core calls each of them once a second; a
/// core that does not answer within the bound hangs, whatever the cluster does. First core only.

#include <optional>
#include <vector>

#include "io/gate.h"
#include "io/reactor.h"

namespace kv {

class Pulse {
public:
    static constexpr Duration period = 1s;
    static constexpr Duration silence_max = 5s;

    explicit Pulse(io::Reactor& reactor);
    Pulse(const Pulse&) = delete;
    /// After stop(), or when the simulator has crashed the process.
    ~Pulse();

    void start();
    /// Returns once no call is under way.
    io::Task<void> stop();

    /// A core that has not answered for too long; nothing: all turn.
    std::optional<CoreId> silent() const noexcept;

private:
    struct BeatTimer : io::Timer {
        explicit BeatTimer(Pulse& p) noexcept
            : Timer([](io::Timer& t) noexcept { static_cast<BeatTimer&>(t).pulse.beat(); }),
              pulse(p) {}
        Pulse& pulse;
    };
    struct Core {
        Instant answered{};
        bool asked = false;
    };
    void beat();
    io::Task<void> ask(CoreId core);

    io::Reactor& reactor_;
    std::vector<Core> cores_;
    BeatTimer timer_;
    io::Gate gate_;
};

}  // namespace kv
