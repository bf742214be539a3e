#include "engine/node/read_gate.h"

#include <algorithm>

namespace kv {

io::Task<void> ReadGate::pass(std::span<Verdict> verdicts, Duration limit) {
    auto made = std::make_unique<Pass>(*this, reactor_);
    Pass& pass = *made;
    pass.verdicts = verdicts;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        Verdict& verdict = verdicts[i];
        verdict.refusal.reset();
        switch (replicas_.begin_read(verdict.shard, pass.waiter(i), 0, false)) {
            case ReadTurn::now: break;
            case ReadTurn::later:
                verdict.refusal = Refused{};  // unless it is confirmed in time
                ++pass.left;
                break;
            case ReadTurn::never:
                verdict.refusal = refusal_of(replicas_, verdict.shard, Errc::no_leader);
                break;
        }
    }
    if (pass.left == 0) co_return;
    passes_.push_back(std::move(made));
    reactor_.timers().arm(pass, reactor_.now() + limit);
    co_await pass.over.wait();
    pass.verdicts = {};
    if (pass.left == 0) end(pass);
}

void ReadGate::settle(Pass& pass, std::size_t number, std::optional<Refused> refusal) noexcept {
    const bool given_up = pass.verdicts.empty();
    if (!given_up) pass.verdicts[number].refusal = refusal;
    if (--pass.left != 0) return;
    if (given_up) return end(pass);
    pass.over.set();
}

void ReadGate::end(Pass& pass) noexcept {
    const auto is_it = [&](const auto& one) { return one.get() == &pass; };
    passes_.erase(std::ranges::find_if(passes_, is_it));
}

}  // namespace kv
