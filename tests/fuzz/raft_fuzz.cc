// libFuzzer: a node's Raft among peers who say anything. Each input is a run of steps: any message
// from any peer, time, an end of the oldest write, a proposal, a read, a snapshot that was offered
// and has arrived. Nothing that a peer says stops the process; what this node promises itself
// stays true (consensus/core/raft.h).

#include <array>

#include "tests/support/raft_one.h"

namespace {

using namespace kv;
using namespace kv::consensus;

/// Numbers out of the input: small ones mostly, and those at the ends of the range.
class Numbers {
public:
    Numbers(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
    bool empty() const noexcept { return left_ == 0; }
    std::uint8_t byte() noexcept {
        if (left_ == 0) return 0;
        --left_;
        return *data_++;
    }
    std::uint64_t number() noexcept {
        const std::uint8_t one = byte();
        if (one < 240) return one % 16;
        constexpr std::uint64_t top = ~std::uint64_t{0};
        constexpr std::array<std::uint64_t, 16> ends{top,
                                                     top - 1,
                                                     top / 2,
                                                     top / 2 + 1,
                                                     std::uint64_t{1} << 62,
                                                     1u << 31,
                                                     1u << 16,
                                                     top - 15,
                                                     100,
                                                     1000,
                                                     top / 4,
                                                     17,
                                                     std::uint64_t{1} << 32,
                                                     20,
                                                     40,
                                                     (std::uint64_t{1} << 62) - 1};
        return ends[one - 240];
    }
    LogPosition position() noexcept {
        const std::uint64_t term = number();
        return at(term, number());
    }

private:
    const std::uint8_t* data_;
    std::size_t left_;
};

MessageBody body(Numbers& in, RaftOne& one) {
    const std::uint8_t kind = in.byte();
    const bool flag = (kind & 0x80) != 0;
    const bool other = (kind & 0x40) != 0;
    switch (kind % 8) {
        case 0: return VoteRequest{in.position(), flag, other};
        case 1: return VoteReply{flag, other};
        case 2: {
            AppendRequest request;
            request.previous = in.position();
            request.commit = Index(in.number());
            std::uint64_t index = request.previous.index.value();
            for (std::uint8_t count = in.byte() % 5; count != 0; --count) {
                const std::uint64_t term = in.number();
                const Configuration one_of[] = {configuration_of({1, 1, 1}),
                                                configuration_of({1, 2, 3}),
                                                configuration_of({0, 1, 1}), Configuration{}};
                const bool configures = flag && count == 1;
                request.entries.push_back(
                    one.entry(term, ++index, configures ? &one_of[term % 4] : nullptr));
            }
            return request;
        }
        case 3: {
            const Index match(in.number());
            return AppendReply{flag, match, in.position()};
        }
        case 4: {
            const Index commit(in.number());
            return HeartbeatRequest{commit, in.number()};
        }
        case 5: return HeartbeatReply{in.number()};
        case 6: return SnapshotRequest{in.position()};
        default: return TimeoutNow{};
    }
}

void answer_one(Numbers& in, RaftOne& one) {
    if (one.sent.empty()) return;
    const Message request = one.sent[in.byte() % one.sent.size()];
    one.answer(request, body(in, one));
}

void install(Numbers& in, RaftOne& one) {
    if (!one.offered) return;
    const Message offer = *one.offered;
    const Configuration configuration =
        in.byte() % 4 == 0 ? Configuration{} : configuration_of({1, 1, 1});
    const auto position = std::get<SnapshotRequest>(offer.body).position;
    if (one->commit() >= position.index) return;  // the driver looks, too
    one.input([&](Effects& effects) {
        one->installed(offer, in.number(), configuration, one.now, effects);
    });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) return 0;
    Numbers in(data, size);
    RaftOne one;
    while (!in.empty()) {
        switch (in.byte() % 12) {
            case 0:
            case 1:
            case 2:
            case 3: {
                const std::uint64_t from = in.byte() % 5;
                const std::uint64_t term = in.number();
                one.hear(from, term, body(in, one), in.byte() % 4);
                break;
            }
            case 4: answer_one(in, one); break;
            case 5: one.pass(std::chrono::milliseconds(10 * (in.byte() % 64))); break;
            case 6: one.disk_held = (in.byte() & 1) != 0; break;
            case 7: one.persist(); break;
            case 8:
                if (!one->refusal(1)) one.propose();
                break;
            case 9: one.input([&](Effects&) { static_cast<void>(one->request_read()); }); break;
            case 10: install(in, one); break;
            case 11: {
                const Index applied = one->commit();
                if (applied > one->applied_index()) one->applied(applied);
                if ((in.byte() & 1) != 0)
                    one->compacted(at(one->term_at(applied).value(), applied.value()));
                break;
            }
        }
        if (one.sent.size() > 64) one.forget();
    }
    return 0;
}
