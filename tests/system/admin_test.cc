/// The admin ports of a cluster, as Prometheus, Grafana and a browser see them.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "tests/system/cluster.h"

namespace kv::test {
namespace {

constexpr std::chrono::seconds script_patience{180};

std::string source(const std::string& path) {
    return program("KV_SOURCE") + "/" + path;
}

std::string read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    EXPECT_FALSE(text.str().empty()) << path;
    return text.str();
}

/// Head and body.
std::string get(std::uint16_t port, std::string_view path, std::string_view headers = "") {
    Wire wire(port);
    wire.send(fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{}\r\n", path,
                          headers));
    return wire.receive_all();
}
std::string body(const std::string& reply) {
    return reply.substr(std::min(reply.size(), reply.find("\r\n\r\n") + 4));
}

void expect_success(const std::string& name, const Args& args) {
    RunningProgram tool(name, args);
    EXPECT_EQ(tool.wait(script_patience), 0) << fmt::format("{} {}", name, args.front()) << "\n"
                                             << tool.out() << tool.log();
}

/// What families there are.
std::set<std::string> names_of(const std::string& metrics) {
    std::set<std::string> names;
    const std::regex type("# TYPE (kv_[a-z_]+) ");
    for (std::sregex_iterator at(metrics.begin(), metrics.end(), type), end; at != end; ++at) {
        names.insert((*at)[1]);
    }
    return names;
}

/// Names of metrics in the text of others.
std::set<std::string> used_in(const std::string& text) {
    std::set<std::string> names;
    const std::regex name("\\bkv_[a-z_]+[a-z]");
    for (std::sregex_iterator at(text.begin(), text.end(), name), end; at != end; ++at) {
        std::string found = at->str();
        for (const std::string_view part : {"_bucket", "_sum", "_count"}) {
            if (found.ends_with(part)) found.resize(found.size() - part.size());
        }
        if (found != "kv_store") names.insert(found);
    }
    return names;
}

class AdminPort : public testing::Test {
protected:
    AdminPort() : cluster({.shards = 16, .admin = true}) {}
    void SetUp() override { ASSERT_TRUE(cluster.start_all()); }

    Cluster cluster;
};

TEST_F(AdminPort, MetricsAreWhatPrometheusReads) {
    LeaderClient client(cluster.client_ports());
    for (int i = 0; i < 50; ++i) {
        EXPECT_EQ(client.ask(fmt::format("SET key{} value\n", i), true), "OK\n");
        EXPECT_EQ(client.ask(fmt::format("GET key{}\n", i), true), "VALUE value\n");
    }
    std::string metrics;
    const auto measured = [&] {
        metrics = body(get(cluster.admin_port(0), "/metrics"));
        return contains(metrics, "kv_peer_connected{peer=\"2\"} 1") &&
               !contains(metrics, "kv_peer_round_trip_seconds_count{peer=\"2\"} 0");
    };
    ASSERT_TRUE(eventually(measured)) << metrics;
    EXPECT_TRUE(contains(metrics, "kv_commands_total{cmd=\"set\"} "));
    EXPECT_TRUE(contains(metrics, "kv_raft_has_leader{shard=\"15\"} 1"));
    EXPECT_FALSE(contains(metrics, "key1")) << "a key is no label";

    const TemporaryDirectory scratch;
    std::ofstream(scratch / "metrics") << metrics;
    expect_success("sh", {"-c", "promtool check metrics <\"$0\"", scratch / "metrics"});

    const std::set<std::string> names = names_of(metrics);
    for (const char* file : {"conf/prometheus/alerts.yml", "conf/grafana/kv-store.json"}) {
        for (const std::string& name : used_in(read(source(file)))) {
            EXPECT_TRUE(names.contains(name)) << name << " in " << file;
        }
    }
    EXPECT_EQ(used_in(read(source("docs/monitoring.md"))), names);
    EXPECT_FALSE(nlohmann::json::parse(read(source("conf/grafana/kv-store.json"))).empty());
}

TEST_F(AdminPort, ReadinessNeedsAMajorityAndLivenessDoesNot) {
    EXPECT_TRUE(get(cluster.admin_port(0), "/readyz").starts_with("HTTP/1.1 200 "));
    cluster.kill(1);
    cluster.kill(2);
    const auto lost = [&] {
        return get(cluster.admin_port(0), "/readyz").starts_with("HTTP/1.1 503 ");
    };
    EXPECT_TRUE(eventually(lost));
    EXPECT_TRUE(get(cluster.admin_port(0), "/livez").starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(get(cluster.admin_port(0), "/readyz?exclude=leaders").starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(contains(get(cluster.admin_port(0), "/health"), "\"health\":\"false\""));
}

TEST_F(AdminPort, StatusIsForPagesOfTheClusterAlone) {
    const std::string allowed = "Access-Control-Allow-Origin:";
    const std::string page = fmt::format("http://127.0.0.1:{}", cluster.admin_port(1));
    EXPECT_TRUE(contains(get(cluster.admin_port(0), "/status.json", "Origin: " + page + "\r\n"),
                         allowed + " " + page + "\r\n"));
    EXPECT_FALSE(
        contains(get(cluster.admin_port(0), "/status.json", "Origin: http://a\r\n"), allowed));
    const auto status = nlohmann::json::parse(body(get(cluster.admin_port(2), "/status.json")));
    EXPECT_EQ(status["node"]["id"], 3);
    EXPECT_EQ(status["nodes"].size(), 3u);
    EXPECT_EQ(status["shards"].size(), 16u);
}

TEST_F(AdminPort, ThePageShowsTheClusterAndANodeThatIsGone) {
    expect_success("/usr/bin/python3", {source("tests/clients/admin_page.py"),
                                        fmt::format("http://127.0.0.1:{}/", cluster.admin_port(0)),
                                        "3", std::to_string(cluster.at(2).process().pid())});
}

TEST(Alerts, AreRightAndFireWhenTheyShould) {
    expect_success("promtool", {"check", "rules", source("conf/prometheus/alerts.yml")});
    expect_success("promtool", {"test", "rules", source("conf/prometheus/alerts_test.yml")});
}

}  // namespace
}  // namespace kv::test
