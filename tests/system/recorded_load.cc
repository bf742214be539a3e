#include "tests/system/recorded_load.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "tests/support/linearizability.h"

namespace kv::test {

namespace {

constexpr client::Mode modes[] = {client::Mode::resp, client::Mode::binary, client::Mode::text};

std::chrono::milliseconds request_timeout() {
    return std::chrono::milliseconds(sanitized() ? 3'000 : 1'000);
}

}  // namespace

std::uint64_t chosen_seed(std::string_view test) {
    const char* const given = std::getenv("KV_TEST_SEED");
    const auto clock = std::chrono::system_clock::now().time_since_epoch().count();
    const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10)
                                                : static_cast<std::uint64_t>(clock) % 1'000'000;
    fmt::print("again: KV_TEST_SEED={} --gtest_filter={}\n", seed, test);
    return seed;
}

RecordedLoad::RecordedLoad(const Cluster& cluster, std::uint64_t seed, Resp resp) {
    for (std::uint32_t i = 0; i < clients; ++i) {
        clients_.push_back(std::make_unique<RecordedClient>(
            RecordedClient::Plan{.number = i,
                                 .mode = modes[i % std::size(modes)],
                                 .nodes = cluster.addresses(),
                                 .follows = resp == Resp::follows || i % 2 == 0,
                                 .timeout = request_timeout()},
            seed));
    }
    for (const auto& client : clients_) {
        threads_.emplace_back([this, client = client.get()] {
            while (!stopping_ && client->complaint().empty()) client->step();
            if (!client->complaint().empty()) complaining_ = true;
        });
    }
}

std::uint64_t RecordedLoad::answered() const {
    std::uint64_t sum = 0;
    for (const auto& client : clients_) sum += client->answered();
    return sum;
}

bool RecordedLoad::goes_on(std::uint64_t count) {
    const std::uint64_t wanted = answered() + count;
    const bool there = eventually([&] { return complaining_ || answered() >= wanted; });
    EXPECT_TRUE(there) << answered() << " operations are answered, not " << wanted;
    if (there && !complaining_) return true;
    stop();
    for (const auto& client : clients_) EXPECT_EQ(client->complaint(), "");
    return false;
}

void RecordedLoad::stop() {
    stopping_ = true;
    threads_.clear();
}

RecordedLoad::Sum RecordedLoad::sum() const {
    Sum sum;
    for (const auto& client : clients_) {
        const RecordedClient::Counters& one = client->counters();
        sum.answered += client->answered();
        sum.redirects += one.redirects;
        sum.refused += one.refused;
        sum.unknown += one.unknown;
        if (sum.first_refusal.empty()) sum.first_refusal = one.first_refusal;
        if (sum.first_unknown.empty()) sum.first_unknown = one.first_unknown;
        sum.longest_wait =
            std::max(sum.longest_wait,
                     std::chrono::duration_cast<std::chrono::milliseconds>(client->longest_wait()));
    }
    return sum;
}

History RecordedLoad::history() const {
    History all;
    for (const auto& client : clients_) {
        for (const Operation& operation : client->history().operations()) all.add(operation);
    }
    return all;
}

void RecordedLoad::expect_linearizable(std::uint64_t answered) {
    clients_.front()->read_all();
    for (const auto& client : clients_) EXPECT_EQ(client->complaint(), "");
    const CheckReport report = check(history());
    EXPECT_TRUE(report.wrong.empty()) << report.wrong.size() << " keys\n" << report.drawing;
    EXPECT_TRUE(report.undecided.empty()) << report.undecided.size() << " keys";
    const Sum all = sum();
    fmt::print(
        "{} operations on {} keys answered, {} redirects, {} refused, {} unknown; longest wait {} "
        "ms; {} steps of the checker\n",
        all.answered, report.keys, all.redirects, all.refused, all.unknown,
        all.longest_wait.count(), report.steps);
    EXPECT_GE(all.answered, answered);
    EXPECT_LT(all.unknown * 100, all.answered) << all.first_unknown;
}

}  // namespace kv::test
