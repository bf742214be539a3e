#pragma once

/// A conversation: commands in, replies out, until the input or the connection ends.

#include <span>
#include <string>

#include "bin/client/client.h"
#include "bin/kv-cli/line_source.h"
#include "bin/kv-cli/render.h"

namespace kv::cli {

class Session {
public:
    /// `interactive`: a person types; "exit" and "quit" end the conversation.
    Session(client::Client& client, Style style, bool interactive) noexcept
        : client_(client), style_(style), interactive_(interactive) {}

    /// Each returns the exit code: of the one command, or the worst of all.
    int run_command(std::span<const std::string> words);
    int run_lines(LineSource& lines);

private:
    int send(const Result<std::string>& request, Style style);

    client::Client& client_;
    Style style_;
    bool interactive_;
    bool connected_ = true;
};

/// "Connected to 127.0.0.1:6379 (text mode). Type commands ..."
std::string greeting(const client::ClientOptions& options);

}  // namespace kv::cli
