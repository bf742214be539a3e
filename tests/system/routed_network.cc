#include "tests/system/routed_network.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

#include "tests/support/program.h"

namespace kv::test {

namespace {

constexpr auto own_network = "/proc/thread-self/ns/net";

int open_own_network() {
    return open(own_network, O_RDONLY | O_CLOEXEC);
}

bool enter(int network) {
    return setns(network, CLONE_NEWNET) == 0;
}

/// A new one, which lasts as long as the descriptor and who has entered it. -1, with errno.
int make_network() {
    int network = -1;
    int error = 0;
    std::jthread([&] {  // a thread has a network of its own
        if (unshare(CLONE_NEWNET) == 0) network = open_own_network();
        error = errno;
    })
        .join();
    errno = error;
    return network;
}

Outcome run_ip(const std::vector<std::string>& args, const std::string& input = {}) {
    std::vector<std::string> all{"ip"};
    all.insert(all.end(), args.begin(), args.end());
    return run_program("/usr/bin/env", all, input);
}

}  // namespace

RoutedNetwork::RoutedNetwork(std::size_t nodes) : outside_(open_own_network()) {
    router_ = make_network();
    for (std::size_t i = 0; i < nodes && router_ >= 0; ++i) networks_.push_back(make_network());
    if (router_ < 0 || networks_.back() < 0) {
        refused_ = fmt::format("network namespaces are refused here: {}", std::strerror(errno));
        return;
    }
    EXPECT_TRUE(enter(router_)) << std::strerror(errno);
    make();
}

RoutedNetwork::~RoutedNetwork() {
    EXPECT_TRUE(enter(outside_));
    for (const int network : networks_) close(network);
    close(router_);
    close(outside_);
}

std::string RoutedNetwork::host(std::size_t node) {
    return fmt::format("10.77.{}.2", node + 1);
}

void RoutedNetwork::make() {
    std::string router = "link set lo up\n";
    for (std::size_t i = 0; i < networks_.size(); ++i) {
        router += fmt::format(
            "link add n{0} type veth peer name eth0 netns /proc/{1}/fd/{2}\n"
            "address add 10.77.{0}.1/24 dev n{0}\n"
            "link set n{0} up\n",
            i + 1, getpid(), networks_[i]);
    }
    ip(router_, router);
    for (std::size_t i = 0; i < networks_.size(); ++i) {
        const std::string node = fmt::format(
            "link set lo up\naddress add {}/24 dev eth0\nlink set eth0 up\n"
            "route add default via 10.77.{}.1\n",
            host(i), i + 1);
        ip(networks_[i], node);
    }
    EXPECT_TRUE(std::ofstream("/proc/sys/net/ipv4/ip_forward") << 1 << std::flush);
}

/// Commands of ip, in `network`, which succeed.
void RoutedNetwork::ip(int network, const std::string& commands) {
    Outcome outcome;
    std::jthread([&] {
        if (enter(network)) outcome = run_ip({"-batch", "-"}, commands);
    }).join();
    EXPECT_EQ(outcome.exit_code, 0) << "ip (package iproute2): " << outcome.err;
}

std::vector<Cluster::Place> RoutedNetwork::places() const {
    std::vector<Cluster::Place> out;
    for (std::size_t i = 0; i < networks_.size(); ++i) {
        out.push_back({host(i), [network = networks_[i]] {
                           // Between fork and exec.
                           if (!enter(network)) _exit(126);
                       }});
    }
    return out;
}

void RoutedNetwork::cut(std::size_t from, std::size_t to) {
    const bool back = passes(to, from);
    rules_.push_back(fmt::format("from {} to {} blackhole", host(from), host(to)));
    ip(router_, "rule add " + rules_.back() + "\n");
    EXPECT_FALSE(passes(from, to));
    EXPECT_EQ(passes(to, from), back);
}

void RoutedNetwork::heal() {
    std::string commands;
    for (const std::string& rule : rules_) commands += "rule del " + rule + "\n";
    rules_.clear();
    ip(router_, commands);
}

bool RoutedNetwork::passes(std::size_t from, std::size_t to) const {
    const Outcome outcome =
        run_ip({"route", "get", host(to), "from", host(from), "iif", fmt::format("n{}", from + 1)});
    return outcome.exit_code == 0;
}

}  // namespace kv::test
