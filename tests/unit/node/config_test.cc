#include "engine/node/config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace kv {
namespace {

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// What is wrong with `toml`, or "" when nothing is.
std::string errors_of(std::string_view toml) {
    const Result<Config> config = parse_config(toml, "f.toml");
    if (config) return {};
    EXPECT_EQ(config.error().code, Errc::config);
    return config.error().detail;
}

TEST(Config, AnEmptyFileIsTheDefault) {
    const Result<Config> config = parse_config("", "f.toml");
    ASSERT_TRUE(config) << config.error().text();
    EXPECT_EQ(*config, Config{});
}

TEST(Config, TheDefaultsPassTheirOwnChecks) {
    EXPECT_TRUE(check_config(Config{}));
    for (const ConfigKey& key : config_keys()) {
        Config config;
        if (key.default_value.empty() || key.name.starts_with("cluster.nodes.")) continue;
        std::string value = key.default_value;
        if (value.starts_with('"')) value = value.substr(1, value.size() - 2);
        const Status set = set_key(config, key.name, value);
        EXPECT_TRUE(set) << set.error().text();
        EXPECT_EQ(config, Config{}) << key.name;
    }
}

TEST(Config, TheShippedFileIsTheDefaultAndNamesEveryKey) {
    const Result<Config> config = load_config(KV_CONF_FILE);
    ASSERT_TRUE(config) << config.error().text();
    EXPECT_EQ(*config, Config{});
    const std::string text = read_file(KV_CONF_FILE);
    for (const ConfigKey& key : config_keys()) {
        const std::string last = key.name.substr(key.name.rfind('.') + 1);
        EXPECT_NE(text.find('\n' + last + " = "), text.find("\n# " + last + " = ")) << key.name;
    }
    // kv-server --print-config writes this file, below its first lines.
    EXPECT_TRUE(text.ends_with(print_config(Config{})));
}

TEST(Config, EveryKeyIsRead) {
    const Result<Config> config = parse_config(R"(
reads = "local"
commit_timeout = "250ms"
[node]
id = 3
data_dir = "/var/lib/kv \"x\""
[client]
bind = "::1"
port = 7000
line_protocol = "resp"
on_follower = "forward"
connections_max = 5
stall_timeout = "2min"
output_pause_bytes = "1 MiB"
pipeline_max = 7
pipeline_bytes_max = 8192
[cluster]
shards = 4
leaders = "together"
[[cluster.nodes]]
id = 3
host = "127.0.0.3"
peer_port = 8001
client_port = 7000
[[cluster.nodes]]
id = 4
host = "::1"
peer_port = 1
client_port = 2
[peer]
bind = "::"
port = 8001
insecure = true
[raft]
heartbeat_interval = "20ms"
election_timeout = "1s"
transfer_bytes_per_second = "5MiB"
[limits]
value_bytes_max = "4KiB"
request_bytes_max = "1MiB"
keys_reply_max = 9
[wal]
segment_bytes = "16KiB"
sync = "fdatasync"
batch_bytes_max = 4096
bytes_max = "1GiB"
[reactor]
cores = 3
cpus = "0-2"
poll_us = 50
[log]
level = "debug"
format = "logfmt"
)",
                                               "f.toml");
    ASSERT_TRUE(config) << config.error().text();
    Config expected;
    expected.reads = ReadMode::local;
    expected.commit_timeout = 250ms;
    expected.node = {.id = NodeId(3), .data_dir = "/var/lib/kv \"x\""};
    expected.client = {.bind = "::1",
                       .port = 7000,
                       .line_protocol = LineProtocol::resp,
                       .on_follower = OnFollower::forward,
                       .connections_max = 5,
                       .stall_timeout = 120s,
                       .output_pause_bytes = 1_MiB,
                       .pipeline_max = 7,
                       .pipeline_bytes_max = 8_KiB};
    expected.cluster = {
        .shards = 4,
        .leaders = Leaders::together,
        .nodes = {{.id = NodeId(3), .host = "127.0.0.3", .peer_port = 8001, .client_port = 7000},
                  {.id = NodeId(4), .host = "::1", .peer_port = 1, .client_port = 2}}};
    expected.peer = {.bind = "::", .port = 8001, .insecure = true};
    expected.raft = {
        .heartbeat_interval = 20ms, .election_timeout = 1s, .transfer_bytes_per_second = 5_MiB};
    expected.limits = {.value_bytes_max = 4_KiB, .request_bytes_max = 1_MiB, .keys_reply_max = 9};
    expected.wal = {.segment_bytes = 16_KiB,
                    .sync = WalSync::fdatasync,
                    .batch_bytes_max = 4096,
                    .bytes_max = 1_GiB};
    expected.reactor = {.cores = 3, .cpus = "0-2", .poll_us = 50};
    expected.log = {.level = log::Level::debug, .format = LogFormat::logfmt};
    EXPECT_EQ(*config, expected);

    const Result<Config> again = parse_config(print_config(*config), "printed");
    ASSERT_TRUE(again) << again.error().text() << '\n' << print_config(*config);
    EXPECT_EQ(*again, expected);
}

struct Case {
    const char* name;
    const char* toml;
    const char* error;  ///< the whole text; "" for none
};

class ConfigTable : public testing::TestWithParam<Case> {};

const Case cases[] = {
    {"near_key", "[wal]\nsegment_byte = 1\n",
     R"(f.toml:2: unknown key "wal.segment_byte"; did you mean "wal.segment_bytes"?)"},
    {"near_section", "[wall]\nsegment_bytes = 1\n",
     R"(f.toml:2: unknown key "wall.segment_bytes"; did you mean "wal.segment_bytes"?)"},
    {"key_without_its_section", "port = 6379\n",
     R"(f.toml:1: unknown key "port"; did you mean "client.port"?)"},
    {"key_in_the_wrong_section", "[node]\nshards = 3\n",
     R"(f.toml:2: unknown key "node.shards"; did you mean "cluster.shards"?)"},
    {"empty_unknown_section", "[clients]\n",
     "f.toml:1: unknown section [clients]; did you mean [client]?"},
    {"empty_known_section", "[client]\n", ""},
    {"section_as_value", "client = 3\n", "f.toml:1: client: expected a section [client], found 3"},
    {"value_as_section", "[reads]\nx = 1\n",
     R"(f.toml:1: reads: expected "linearizable", "lease" or "local", found a table)"},
    {"dotted_key", "client.port = 70000\n",
     "f.toml:1: client.port: expected an integer from 0 to 65535, found 70000"},
    {"wrong_type", "[client]\nport = \"http\"\n",
     "f.toml:2: client.port: expected an integer from 0 to 65535, found \"http\""},
    {"string_for_integer", "[client]\nport = \"6379\"\n",
     "f.toml:2: client.port: expected an integer from 0 to 65535, found \"6379\""},
    {"fraction", "[client]\nport = 1.5\n",
     "f.toml:2: client.port: expected an integer from 0 to 65535, found a fraction"},
    {"array", "[node]\nid = [1]\n",
     "f.toml:2: node.id: expected an integer from 1 to 4294967295, found an array"},
    {"zero_id", "[node]\nid = 0\n",
     "f.toml:2: node.id: expected an integer from 1 to 4294967295, found 0"},
    {"no_data_dir", "[node]\ndata_dir = \"\"\n",
     "f.toml:2: node.data_dir: expected a string of 1 to 4096 bytes without NUL, found \"\""},
    {"host_name_as_address", "[client]\nbind = \"localhost\"\n",
     "f.toml:2: client.bind: expected an IPv4 or IPv6 address in quotes, found \"localhost\""},
    {"shards", "[cluster]\nshards = 1025\n",
     "f.toml:2: cluster.shards: expected an integer from 1 to 1024, found 1025"},
    {"segment_multiple", "[wal]\nsegment_bytes = 67108865\n",
     "f.toml:2: wal.segment_bytes: expected a size from 16KiB to 256MiB, a multiple of 4KiB, "
     "found 67108865"},
    {"size_unit", "[wal]\nsegment_bytes = \"64MB\"\n",
     "f.toml:2: wal.segment_bytes: expected a size from 16KiB to 256MiB, a multiple of 4KiB, "
     "found \"64MB\""},
    {"size_overflow", "[wal]\nbytes_max = \"99999999999GiB\"\n",
     "f.toml:2: wal.bytes_max: expected a size of 0 or more, found \"99999999999GiB\""},
    {"duration_without_unit", "commit_timeout = 5\n",
     "f.toml:1: commit_timeout: expected a duration from 10ms to 600s, found 5"},
    {"duration_too_long", "commit_timeout = \"11min\"\n",
     "f.toml:1: commit_timeout: expected a duration from 10ms to 600s, found \"11min\""},
    {"choice", "[wal]\nsync = \"never\"\n",
     R"(f.toml:2: wal.sync: expected "auto", "dsync" or "fdatasync", found "never")"},
    {"log_level", "[log]\nlevel = \"loud\"\n",
     "f.toml:2: log.level: expected \"trace\", \"debug\", \"info\", \"warn\", \"error\", "
     "\"critical\" or \"off\", found \"loud\""},
    {"reads_later", "reads = \"lease\"\n",
     R"(f.toml:1: reads: "lease" is not available yet; expected "linearizable" or "local")"},
    {"format_later", "[log]\nformat = \"json\"\n",
     R"(f.toml:2: log.format: "json" is not available yet; expected "logfmt")"},
    {"value_and_segment",
     "[limits]\nvalue_bytes_max = \"1MiB\"\n[wal]\n"
     "segment_bytes = \"2MiB\"\nbatch_bytes_max = \"512KiB\"\n",
     "f.toml:2: limits.value_bytes_max: 1MiB is more than a quarter of wal.segment_bytes (2MiB); "
     "expected at most 512KiB"},
    {"default_and_segment", "[wal]\nsegment_bytes = \"8MiB\"\n",
     "f.toml: wal.batch_bytes_max: 4MiB is more than a quarter of wal.segment_bytes (8MiB); "
     "expected at most 2MiB"},
    {"batch_and_shards", "[cluster]\nshards = 1024\n[wal]\nbatch_bytes_max = \"32KiB\"\n",
     "f.toml:4: wal.batch_bytes_max: 32KiB does not hold what 1024 shards write together; "
     "expected at least 96KiB"},
    {"wal_room", "[wal]\nbytes_max = \"128MiB\"\n",
     "f.toml:2: wal.bytes_max: 128MiB does not hold four segments of 64MiB; expected 0 or more"},
    {"request_holds_value", "[limits]\nvalue_bytes_max = \"8MiB\"\nrequest_bytes_max = \"8MiB\"\n",
     "f.toml:3: limits.request_bytes_max: 8MiB does not hold the longest key and a value of "
     "limits.value_bytes_max (8MiB); expected at least 8455167"},
    {"node_key", "[[cluster.nodes]]\nid = 1\nhost = \"::1\"\npeerport = 3\n",
     "f.toml:4: unknown key \"cluster.nodes.peerport\"; did you mean \"cluster.nodes.peer_port\"?"},
    {"node_without_host", "\n[[cluster.nodes]]\nid = 1\n",
     "f.toml:2: cluster.nodes.host is missing: expected an IPv4 or IPv6 address in quotes"},
    {"node_by_name", "[[cluster.nodes]]\nid = 1\nhost = \"localhost\"\n",
     "f.toml:3: cluster.nodes.host: expected an IPv4 or IPv6 address in quotes, found "
     "\"localhost\""},
    {"nodes_not_a_list", "[cluster]\nnodes = 3\n",
     "f.toml:2: cluster.nodes: expected [[cluster.nodes]], one for each node, found 3"},
    {"nodes_of_numbers", "[cluster]\nnodes = [3]\n",
     "f.toml:2: cluster.nodes: expected a table, found 3"},
    {"own_id_missing", "[[cluster.nodes]]\nid = 2\nhost = \"::1\"\n",
     "f.toml:1: cluster.nodes: node.id 1 is not among them"},
    {"same_node_twice",
     "[[cluster.nodes]]\nid = 1\nhost = \"::1\"\n[[cluster.nodes]]\nid = 1\nhost = \"::1\"\n",
     "f.toml:4: cluster.nodes: id 1 is listed twice\n"
     "f.toml:4: cluster.nodes: ::1:6379 is listed twice\n"
     "f.toml:4: cluster.nodes: ::1:7001 is listed twice"},
    {"one_port_for_two", "[[cluster.nodes]]\nid = 1\nhost = \"::1\"\nclient_port = 7001\n",
     "f.toml:1: cluster.nodes: node 1 has port 7001 for peers and clients"},
    {"boolean_in_quotes", "[peer]\ninsecure = \"true\"\n",
     "f.toml:2: peer.insecure: expected true or false, found \"true\""},
    {"boolean_as_number", "[peer]\ninsecure = 1\n",
     "f.toml:2: peer.insecure: expected true or false, found 1"},
    {"leaders", "[cluster]\nleaders = \"all\"\n",
     R"(f.toml:2: cluster.leaders: expected "spread" or "together", found "all")"},
    {"election_and_heartbeat", "[raft]\nheartbeat_interval = \"100ms\"\n",
     "f.toml: raft.election_timeout: 300ms is less than 4 of raft.heartbeat_interval (100ms); "
     "expected at least 400ms"},
    {"election_and_heartbeat_equal",
     "[raft]\nheartbeat_interval = \"100ms\"\nelection_timeout = \"400ms\"\n", ""},
    {"all_errors_by_line", "[wal]\nsync = 1\n[client]\nprt = 1\nport = -1\n[node]\nid = true\n",
     "f.toml:2: wal.sync: expected \"auto\", \"dsync\" or \"fdatasync\", found 1\n"
     "f.toml:4: unknown key \"client.prt\"; did you mean \"client.port\"?\n"
     "f.toml:5: client.port: expected an integer from 0 to 65535, found -1\n"
     "f.toml:7: node.id: expected an integer from 1 to 4294967295, found a boolean"},
};

TEST_P(ConfigTable, SaysWhatIsWrong) {
    EXPECT_EQ(errors_of(GetParam().toml), GetParam().error);
}
INSTANTIATE_TEST_SUITE_P(Table, ConfigTable, testing::ValuesIn(cases),
                         [](const auto& test) { return std::string(test.param.name); });

/// A file for node 1 at 127.0.0.1:7001:6379, and what `more` says. Its nodes begin in line 5.
std::string cluster_file(std::string_view more, std::string_view before = "") {
    return std::string("#\n#\n#\n") + std::string(before) +
           "\n[[cluster.nodes]]\nid = 1\nhost = \"127.0.0.1\"\n" + std::string(more);
}
std::string node_table_of(int id, std::string_view host, int peer_port = 7001,
                          int client_port = 6379) {
    return "[[cluster.nodes]]\nid = " + std::to_string(id) + "\nhost = \"" + std::string(host) +
           "\"\npeer_port = " + std::to_string(peer_port) +
           "\nclient_port = " + std::to_string(client_port) + "\n";
}

TEST(ConfigNodes, ThreeOnLoopbackAreRight) {
    const std::string toml =
        cluster_file(node_table_of(2, "127.0.0.2") + node_table_of(3, "127.0.0.1", 7003, 6383));
    EXPECT_EQ(errors_of(toml), "");
    const Result<Config> config = parse_config(toml, "f.toml");
    ASSERT_TRUE(config);
    EXPECT_TRUE(has_peers(*config));
    EXPECT_TRUE(config_warnings(*config).empty());
    EXPECT_FALSE(has_peers(Config{}));
}

TEST(ConfigNodes, OneNodeAloneNeedsNoneOfWhatTheOthersWouldNeed) {
    const std::string toml = "[client]\nport = 0\n" + node_table_of(1, "10.0.0.1", 9, 10);
    EXPECT_EQ(errors_of(toml), "");
    EXPECT_FALSE(has_peers(*parse_config(toml, "f.toml")));
}

TEST(ConfigNodes, MistakesAreNamedWithTheLineOfTheirNode) {
    const auto line_8 = [](std::string_view text) {
        return "f.toml:8: cluster.nodes: " + std::string(text);
    };
    EXPECT_EQ(errors_of(cluster_file(node_table_of(1, "127.0.0.2"))),
              line_8("id 1 is listed twice"));
    EXPECT_EQ(errors_of(cluster_file(node_table_of(2, "127.0.0.1", 7001, 6380))),
              line_8("127.0.0.1:7001 is listed twice"));
    EXPECT_EQ(errors_of(cluster_file(node_table_of(2, "127.0.0.1", 7002, 6379))),
              line_8("127.0.0.1:6379 is listed twice"));
    EXPECT_EQ(errors_of(cluster_file(node_table_of(2, "127.0.0.1", 6379, 6380))),
              line_8("127.0.0.1:6379 is listed twice"));
    for (const char* host : {"0.0.0.0", "::"})
        EXPECT_EQ(errors_of(cluster_file(node_table_of(2, host))),
                  line_8("nobody can connect to " + std::string(host) +
                         "; expected the address at which the others reach node 2"));
    // Said for the first, once.
    for (const char* host : {"10.0.0.2", "fe80::1"})
        EXPECT_EQ(errors_of(cluster_file(node_table_of(2, host) + node_table_of(3, "10.0.0.3"))),
                  line_8(std::string(host) +
                         " is not loopback, and what nodes say to each other is not encrypted "
                         "yet: set peer.insecure = true if nobody else can reach that network"));
    for (const char* host : {"127.9.9.9", "::1"})
        EXPECT_EQ(errors_of(cluster_file(node_table_of(2, host) + node_table_of(3, "127.0.0.3"))),
                  "");
}

TEST(ConfigNodes, TheOwnEntryIsWhatTheNodeListensOn) {
    const std::string others = node_table_of(2, "127.0.0.2") + node_table_of(3, "127.0.0.3");
    EXPECT_EQ(errors_of(cluster_file(others, "client.port = 6380")),
              "f.toml:5: cluster.nodes: node 1 is this one and has client_port 6379, but "
              "client.port is 6380: make them equal");
    EXPECT_EQ(errors_of(cluster_file(others, "peer.port = 7002")),
              "f.toml:5: cluster.nodes: node 1 is this one and has peer_port 7001, but peer.port "
              "is 7002: make them equal");
    EXPECT_EQ(errors_of(cluster_file(others, "node.id = 4")),
              "f.toml:5: cluster.nodes: node.id 4 is not among them");
    EXPECT_EQ(errors_of(cluster_file(others, "peer.bind = \"0.0.0.0\"")),
              "f.toml:4: peer.bind: 0.0.0.0 is not loopback, and what nodes say to each other is "
              "not encrypted yet: set peer.insecure = true if nobody else can reach that network");
    const std::string insecure = "peer.insecure = true\n";
    EXPECT_EQ(errors_of(insecure + node_table_of(1, "10.0.0.1") + others),
              "f.toml: peer.bind: 127.0.0.1 is loopback, but the other nodes are to reach this one "
              "at 10.0.0.1; expected its address there, or \"0.0.0.0\"");
    EXPECT_EQ(
        errors_of(insecure + "peer.bind = \"10.0.0.1\"\n" + node_table_of(1, "10.0.0.1") + others),
        "");
}

TEST(ConfigNodes, AtMostSevenAndAnEvenNumberIsWarnedAbout) {
    std::string more;
    for (int id = 2; id <= 8; ++id) {
        more += node_table_of(id, "127.0.0." + std::to_string(id));
        const Result<Config> config = parse_config(cluster_file(more), "f.toml");
        ASSERT_EQ(config.has_value(), id <= 7) << id;
        if (!config) break;
        const std::vector<std::string> warnings = config_warnings(*config);
        EXPECT_EQ(warnings.size(), id % 2 == 0 ? 1u : 0u) << id;
        if (id == 4) {
            EXPECT_EQ(warnings.at(0),
                      "cluster.nodes: 4 nodes survive the loss of 1, as 3 would: an odd number is "
                      "as safe with one node less");
        }
    }
    EXPECT_EQ(errors_of(cluster_file(more)),
              "f.toml:38: cluster.nodes: 8 nodes are listed; expected 3, 5 or 7");
}

TEST(ConfigNodes, AnAddressWhereClientsDoNotReachTheNodeIsWarnedAbout) {
    const std::string toml = "peer.insecure = true\npeer.bind = \"0.0.0.0\"\n" +
                             node_table_of(1, "10.0.0.1") + node_table_of(2, "10.0.0.2") +
                             node_table_of(3, "10.0.0.3");
    const Result<Config> config = parse_config(toml, "f.toml");
    ASSERT_TRUE(config) << config.error().text();
    ASSERT_EQ(config_warnings(*config).size(), 1u);
    EXPECT_EQ(config_warnings(*config)[0],
              "client.bind: 127.0.0.1 is loopback, but the other nodes send clients to "
              "10.0.0.1:6379");
}

/// What is wrong with --peers, or with the configuration that it makes.
std::string errors_of_peers(Config& config, std::string_view peers) {
    Status status = set_peers(config, peers);
    if (status) status = check_config(config);
    return status ? "" : status.error().text();
}

TEST(ConfigPeers, TheSeedsFlagMakesTheListAndLeadersTogether) {
    Config config;
    config.node.id = NodeId(2);
    config.client.bind = "127.0.0.2";
    EXPECT_EQ(errors_of_peers(config, "3:127.0.0.1:7003:6381,1:127.0.0.1:7002:6380"), "");
    const std::vector<ClusterNode> expected = {
        {.id = NodeId(1), .host = "127.0.0.1", .peer_port = 7002, .client_port = 6380},
        {.id = NodeId(2), .host = "127.0.0.2", .peer_port = 7001, .client_port = 6379},
        {.id = NodeId(3), .host = "127.0.0.1", .peer_port = 7003, .client_port = 6381}};
    EXPECT_EQ(config.cluster.nodes, expected);
    EXPECT_EQ(config.cluster.leaders, Leaders::together);
    EXPECT_EQ(config.peer.bind, "127.0.0.2");
    // The same as a file would have it.
    const Result<Config> again = parse_config(print_config(config), "printed");
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(*again, config);
}

TEST(ConfigPeers, NoneIsASingleNode) {
    Config config;
    EXPECT_EQ(errors_of_peers(config, ""), "");
    EXPECT_EQ(config, Config{});
}

TEST(ConfigPeers, ANodeThatListensEverywhereIsToldWhereItIs) {
    Config config;
    config.client.bind = "0.0.0.0";
    config.peer.insecure = true;
    EXPECT_EQ(errors_of_peers(config, "2:10.0.0.2:7001:6379"),
              "the other nodes cannot reach this one at 0.0.0.0: give its own address with --host, "
              "or list it in --peers, too");
    EXPECT_EQ(errors_of_peers(config, "1:10.0.0.1:7001:6379,2:10.0.0.2:7001:6379"), "");
    EXPECT_EQ(config.peer.bind, "0.0.0.0");
    EXPECT_EQ(config.cluster.nodes[0].host, "10.0.0.1");
}

TEST(ConfigPeers, AMistakeIsShown) {
    for (const char* one :
         {"2", "2:1.2.3.4", "2:1.2.3.4:1", "2:1.2.3.4:1:2:3", "0:1.2.3.4:1:2",
          "4294967296:1.2.3.4:1:2", "x:1.2.3.4:1:2", "2::1:2", "2:1.2.3.4:0:2", "2:1.2.3.4:1:65536",
          "2:1.2.3.4:1:", "", " 2:1.2.3.4:1:2", "2:::1:7001:6379", "2:localhost:7001:6379"}) {
        Config config;
        const std::string text = std::string(one) + ",3:127.0.0.1:7003:6383";
        EXPECT_EQ(errors_of_peers(config, text),
                  '"' + std::string(one) +
                      "\": expected id:host:raft_port:client_port, the host as an IPv4 address, "
                      "with a comma between nodes (IPv6: [[cluster.nodes]] of a file)");
        EXPECT_EQ(config, Config{});
    }
    Config config;
    EXPECT_EQ(errors_of_peers(config, "2:127.0.0.1:7001:6380,3:127.0.0.1:7003:6381"),
              "cluster.nodes: 127.0.0.1:7001 is listed twice");
}

TEST(Config, BrokenTomlIsRefusedWithItsLine) {
    EXPECT_TRUE(errors_of("[node]\nid = \n").starts_with("f.toml:2: ")) << errors_of("[node]\nid=");
    EXPECT_TRUE(errors_of("[node]\nid = 1\nid = 2\n").starts_with("f.toml:3: "));
    EXPECT_TRUE(errors_of("\xff\xfe").starts_with("f.toml:1: "));
}

TEST(Config, AnyPrefixOfTheFileIsAnsweredWithoutACrash) {
    const std::string text = print_config(Config{});
    for (std::size_t size = 0; size < text.size(); size += 7) {
        const std::string error = errors_of(text.substr(0, size));
        EXPECT_TRUE(error.empty() || error.starts_with("f.toml:")) << size << ": " << error;
    }
}

TEST(Config, AFileThatIsNotThereIsNamed) {
    const Result<Config> config = load_config("/nonexistent/kv.toml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().detail, "/nonexistent/kv.toml: cannot open the configuration file");
    const Result<Config> directory = load_config("/");
    ASSERT_FALSE(directory);
    EXPECT_EQ(directory.error().detail, "/: cannot read the configuration file");
}

TEST(Config, OverridesTakePlainText) {
    Config config;
    EXPECT_TRUE(set_key(config, "client.port", "7000"));
    EXPECT_TRUE(set_key(config, "client.bind", "0.0.0.0"));
    EXPECT_TRUE(set_key(config, "wal.segment_bytes", "128MiB"));
    EXPECT_TRUE(set_key(config, "limits.value_bytes_max", "4096"));
    EXPECT_TRUE(set_key(config, "commit_timeout", "1s"));
    EXPECT_TRUE(set_key(config, "log.level", "error"));
    EXPECT_TRUE(set_key(config, "peer.insecure", "true"));
    EXPECT_TRUE(config.peer.insecure);
    EXPECT_TRUE(set_key(config, "peer.insecure", "false"));
    EXPECT_FALSE(config.peer.insecure);
    EXPECT_FALSE(set_key(config, "peer.insecure", "yes"));
    EXPECT_EQ(config.client.port, 7000);
    EXPECT_EQ(config.client.bind, "0.0.0.0");
    EXPECT_EQ(config.wal.segment_bytes, 128_MiB);
    EXPECT_EQ(config.limits.value_bytes_max, 4096u);
    EXPECT_EQ(config.commit_timeout, 1s);
    EXPECT_EQ(config.log.level, log::Level::error);
    EXPECT_TRUE(check_config(config));
}

TEST(Config, OverridesAreCheckedLikeTheFile) {
    Config config;
    const auto error = [&](std::string_view key, std::string_view value) {
        const Status set = set_key(config, key, value);
        return set ? std::string() : set.error().text();
    };
    EXPECT_EQ(error("client.port", "6379x"),
              "client.port: expected an integer from 0 to 65535, found \"6379x\"");
    EXPECT_EQ(error("clientport", "1"),
              "unknown key \"clientport\"; did you mean \"client.port\"?");
    EXPECT_EQ(error("commit_timeout", "5"),
              "commit_timeout: expected a duration from 10ms to 600s, found \"5\"");
    EXPECT_EQ(config, Config{});
    EXPECT_EQ(error("wal.segment_bytes", "16KiB"), "");
    const Status checked = check_config(config);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().text(),
              "limits.value_bytes_max: 1MiB is more than a quarter of wal.segment_bytes (16KiB); "
              "expected at most 4KiB\n"
              "wal.batch_bytes_max: 4MiB is more than a quarter of wal.segment_bytes (16KiB); "
              "expected at most 4KiB");
}

}  // namespace
}  // namespace kv
