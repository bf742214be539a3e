#pragma once

/// A conversation: commands in, replies out, until the input or the connection ends.

#include <set>
#include <span>
#include <string>
#include <vector>

#include "bin/client/cluster_client.h"
#include "bin/kv-cli/commands.h"
#include "bin/kv-cli/line_source.h"
#include "bin/kv-cli/render.h"

namespace kv::cli {

class Session {
public:
    /// `commands`, when there are some: a person types; "exit" and "quit" end the conversation and
    /// "help" explains.
    Session(client::ClusterClient& client, Style style, const CommandTable* commands) noexcept
        : client_(client), style_(style), commands_(commands) {}

    /// Each returns the exit code: of the one command, or the worst of all.
    int run_command(std::span<const std::string> words);
    int run_lines(LineSource& lines);
    /// Prints the keys that match `pattern`, one a line, in the order in which the server's SCAN
    /// has them: a key that is there all the time comes once, others perhaps. `count`: how many
    /// keys the server looks at per step, 0: as it likes.
    int run_scan(const std::string& pattern, std::uint64_t count);

private:
    /// What one line became.
    struct Asked {
        Style style;
        Status encoded;  ///< an error: it was not sent, and is answered with this
    };
    /// Commands that came together are sent together; these bound how many.
    static constexpr std::size_t batch_commands_max = 512;
    static constexpr std::size_t batch_bytes_max = std::size_t{1} << 20;

    void add(Result<std::string> request, Style style);
    int send_batch();
    int show(const client::Reply& reply, Style style);
    int fail_call(const Error& error, std::span<const client::Exchange> unanswered);
    void advise(const std::string& text);
    bool answered_here(const std::string& line);

    client::ClusterClient& client_;
    Style style_;
    const CommandTable* commands_;
    std::vector<Asked> asked_;                // the batch
    std::vector<client::Exchange> requests_;  // those of it that are sent
    std::size_t request_bytes_ = 0;
    std::set<std::string> advised_;
    bool connected_ = true;
};

/// "Connected to 127.0.0.1:6379 (text mode). Type commands ..."
std::string greeting(const client::Address& server, client::Mode mode);

}  // namespace kv::cli
