#include "engine/node/pulse.h"

#include "io/call.h"

namespace kv {

Pulse::Pulse(io::Reactor& reactor)
    : reactor_(reactor), cores_(reactor.mailboxes().cores()), timer_(*this), gate_(reactor) {}

Pulse::~Pulse() {
    reactor_.timers().disarm(timer_);
}

void Pulse::start() {
    for (Core& core : cores_) core.answered = reactor_.backend().now();
    beat();
}

io::Task<void> Pulse::stop() {
    reactor_.timers().disarm(timer_);
    co_await gate_.close();
}

void Pulse::beat() {
    for (std::size_t i = 0; i < cores_.size(); ++i) {
        if (cores_[i].asked || !gate_.try_enter()) continue;
        cores_[i].asked = true;
        reactor_.spawn(ask(CoreId(static_cast<std::uint16_t>(i))));
    }
    reactor_.timers().arm(timer_, reactor_.backend().now() + period);
}

io::Task<void> Pulse::ask(CoreId core) {
    auto nothing = [](io::Reactor&) {};
    co_await io::call_on(reactor_, core, nothing);
    cores_[core.value()].answered = reactor_.now();
    cores_[core.value()].asked = false;
    gate_.leave();
}

std::optional<CoreId> Pulse::silent() const noexcept {
    for (std::size_t i = 0; i < cores_.size(); ++i) {
        if (reactor_.now() - cores_[i].answered > silence_max) {
            return CoreId(static_cast<std::uint16_t>(i));
        }
    }
    return std::nullopt;
}

}  // namespace kv
