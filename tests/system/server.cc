#include "tests/system/server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace kv::test {

namespace {

Args server_args(const std::string& data_dir, const Args& more) {
    Args args{"--data-dir", data_dir};
    if (std::ranges::find(more, "--client-port") == more.end()) {
        args.insert(args.end(), {"--set", "client.port=0"});
    }
    args.insert(args.end(), more.begin(), more.end());
    return args;
}

}  // namespace

std::string program(const char* variable) {
    const char* const path = std::getenv(variable);
    EXPECT_NE(path, nullptr) << variable << " names no program: run this with meson test";
    return path != nullptr ? path : "";
}

bool sanitized() {
    return std::getenv("KV_TEST_SANITIZED") != nullptr;
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string field(std::string_view line, std::string_view name) {
    const std::string start = fmt::format(" {}=", name);
    const std::size_t at = line.find(start);
    if (at == std::string_view::npos) return {};
    const std::string_view rest = line.substr(at + start.size());
    if (!rest.starts_with('"')) return std::string(rest.substr(0, rest.find(' ')));
    return std::string(rest.substr(1, rest.find('"', 1) - 1));
}

Server::Server(const std::string& data_dir, const Args& args,
               const RunningProgram::Setting& setting)
    : process_(program("KV_SERVER"), server_args(data_dir, args), setting) {}

bool Server::ready() {
    start_line_ = process_.wait_for_log("msg=ready");
    const std::string address = field(start_line_, "address");
    const std::size_t colon = address.rfind(':');
    if (colon != std::string::npos) {
        const char* const end = address.data() + address.size();
        std::from_chars(address.data() + colon + 1, end, port_);
    }
    EXPECT_NE(port_, 0) << process_.log();
    return port_ != 0;
}

std::optional<int> Server::stop() {
    process_.send_signal(SIGTERM);
    return process_.wait();
}

void Server::kill() {
    process_.send_signal(SIGKILL);
    EXPECT_EQ(process_.wait(), 128 + SIGKILL) << process_.log();
}

Outcome run_server(const Args& args, const std::string& directory) {
    RunningProgram server(program("KV_SERVER"), args, {.directory = directory});
    Outcome outcome;
    outcome.exit_code = server.wait().value_or(-1);
    outcome.out = server.out();
    outcome.err = server.log();
    return outcome;
}

}  // namespace kv::test
