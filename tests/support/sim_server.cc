#include "tests/support/sim_server.h"

#include <cstdlib>

#include "proto/base/log.h"

namespace kv {

Config small_config() {
    Config config;
    config.node.data_dir = "kv/data";
    config.client.bind = "10.0.0.1";
    config.cluster.shards = 4;
    config.wal.segment_bytes = 64_KiB;
    config.wal.batch_bytes_max = 16_KiB;
    config.limits.value_bytes_max = 8_KiB;
    config.limits.request_bytes_max = 128_KiB;
    return config;
}

std::uint64_t scaled(std::uint64_t count) {
    if (std::getenv("KV_TEST_SANITIZED") == nullptr) return count;
    return std::max<std::uint64_t>(1, count / 10);
}

std::uint64_t number_in(const char* variable, std::uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

io::SimWorld& SimServer::with_nodes(io::SimWorld& world) {
    world.add_node(server_node, {"10.0.0.1"});
    world.add_node(client_node, {"10.0.0.2"});
    world.disk(server_node).make_directory("kv");
    return world;
}

SimServer::SimServer(std::uint64_t seed, Config c, const io::SimKnobs& knobs, std::uint16_t n)
    : world(seed, knobs), config(std::move(c)), cores(n), clients_(with_nodes(world), client_node) {
    log::set_level(log::Level::off);
    EXPECT_TRUE(check_config(config).has_value());
}

SimServer::~SimServer() {
    if (process_ != nullptr) crash();
}

io::Task<void> SimServer::start_node(Node* node, std::optional<Result<StartReport>>* report) {
    Result<StartReport> started = co_await node->start();
    *report = std::move(started);
}

io::Task<void> SimServer::stop_node(Node* node) {
    co_await node->stop();
}

Result<StartReport> SimServer::start() {
    make_node();
    static_cast<void>(process_->run(start_node(node_.get(), &report_)));
    return report();
}

void SimServer::make_node() {
    KV_ASSERT(process_ == nullptr);
    process_ = std::make_unique<io::SimProcess>(world, server_node, cores);
    node_ = std::make_unique<Node>(process_->reactors(), config, 4711);
    report_.reset();
}

void SimServer::begin_start() {
    make_node();
    process_->reactor().spawn(start_node(node_.get(), &report_));
}

Result<StartReport> SimServer::finish_start() {
    static_cast<void>(world.run_until([&] { return started(); }, 1h));
    return report();
}

Result<StartReport> SimServer::report() const {
    if (!report_) return fail(Errc::canceled, "the node crashed or hung while it started");
    return *report_;
}

void SimServer::stop(Duration limit) {
    EXPECT_TRUE(process_->run(stop_node(node_.get()), limit)) << "the node does not stop";
    node_.reset();
    for (std::size_t i = 0; i < cores; ++i) EXPECT_EQ(process_->backend(i).in_flight(), 0u);
    process_.reset();
}

void SimServer::crash(io::Crash kind) {
    process_->kill(kind);
    node_.reset();
    process_.reset();
}

std::unique_ptr<SimClient> SimServer::connect() {
    auto client = std::make_unique<SimClient>(world, clients_, node_->endpoint());
    EXPECT_TRUE(client->connected());
    return client;
}

void SimServer::expect(std::string_view request, std::string_view reply) {
    const auto client = connect();
    EXPECT_EQ(client->exchange(request, reply.size()), reply) << "to " << request;
}

std::string SimServer::info(std::string_view field) {
    const std::string text = node().info(std::array{std::string_view("all")});
    const std::string start = "\r\n" + std::string(field) + ":";
    const std::size_t at = text.find(start);
    if (at == std::string::npos) return {};
    const std::size_t from = at + start.size();
    return text.substr(from, text.find('\r', from) - from);
}

}  // namespace kv
