#include "bin/kv-cli/history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "proto/request_check.h"

namespace kv::cli {

namespace {

constexpr mode_t owner_only = 0600;

/// All of `text` in one write, so that programs that append at once do not mix their lines. False:
/// it is not all there.
bool write_file(const std::string& path, int how, std::string_view text) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | how, owner_only);
    if (fd < 0) return false;
    // A file that somebody else made may be open to all.
    const bool ours = ::fchmod(fd, owner_only) == 0;
    const bool all = ours && ::write(fd, text.data(), text.size()) == std::ssize(text);
    return (::close(fd) == 0) && all;
}

/// By way of a file beside it: a crash leaves the old or the new one.
void replace_file(const std::string& path, const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text.append(line).push_back('\n');
    const std::string next = path + "." + std::to_string(::getpid());
    if (!write_file(next, O_TRUNC, text) || ::rename(next.c_str(), path.c_str()) != 0) {
        ::unlink(next.c_str());
    }
}

}  // namespace

std::string history_path() {
    if (const char* path = std::getenv("KV_CLI_HISTORY"); path != nullptr) return path;
    const char* const home = std::getenv("HOME");
    return home != nullptr && *home != '\0' ? std::string(home) + "/.kv_cli_history"
                                            : std::string();
}

std::vector<std::string> load_history(const std::string& path) {
    std::vector<std::string> lines;
    if (path.empty()) return lines;
    struct stat found{};
    if (::stat(path.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) return lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (!line.empty()) lines.push_back(std::move(line));
    }
    const std::size_t count = lines.size();
    if (count <= history_lines_max) return lines;
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(history_lines_max));
    if (count >= 2 * history_lines_max) replace_file(path, lines);
    return lines;
}

bool keeps_secret(std::string_view line) {
    if (line.starts_with(' ')) return true;
    const std::string_view verb = line.substr(0, line.find(' '));
    if (equals_ignoring_case(verb, "auth")) return true;
    if (!equals_ignoring_case(verb, "hello")) return false;
    for (std::size_t at = 0; at + 6 <= line.size(); ++at) {
        if (equals_ignoring_case(line.substr(at, 6), " auth ")) return true;
    }
    return false;
}

void append_history(const std::string& path, std::string_view line) {
    if (path.empty() || line.empty() || keeps_secret(line)) return;
    (void)write_file(path, O_APPEND, std::string(line) + "\n");
}

}  // namespace kv::cli
