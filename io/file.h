#pragma once

/// Files and directories for coroutines. Everything is an operation of the reactor's backend, so it
/// runs unchanged in the simulator. Owner core only.
/// Errors: `no_space`, `not_found`, `exists`, `unsupported` (this file system does not do that),
/// `io`, each with the path and the system's words.

#include <string>
#include <vector>

#include "io/await.h"
#include "io/reactor.h"
#include "proto/base/bytes.h"
#include "proto/base/result.h"

namespace kv::io {

/// The Error of a negative operation result.
Error io_error(std::int32_t result, std::string_view action, std::string_view path);

/// An open file. Close it with close(); a File that still holds a descriptor when it is destroyed
/// was leaked, except when the process ends (the simulator's crash).
class File {
public:
    File() noexcept = default;
    static Task<Result<File>> open(Reactor& reactor, std::string path, std::uint32_t open_flags);

    /// Reads until `to` is full or the file ends; returns the bytes read.
    Task<Result<std::size_t>> read_at(std::uint64_t offset, MutableBytes to) const;
    /// Writes all of `from` (a short write is continued); with `dsync` it is durable on return.
    Task<Status> write_at(std::uint64_t offset, Bytes from, bool dsync) const;
    /// All completed writes and the size are durable on return.
    Task<Status> sync() const;
    /// Reserves `bytes` from offset 0 and makes that the size.
    Task<Status> allocate(std::uint64_t bytes) const;
    /// Gives back the blocks of a range, which reads as zeros afterwards. Error: not every file
    /// system can.
    Task<Status> punch(std::uint64_t offset, std::uint32_t bytes) const;
    /// Exclusive advisory lock, held until close. Error: `locked`.
    Task<Status> lock() const;
    Task<void> close();

    bool is_open() const noexcept { return fd_ >= 0; }
    std::int32_t fd() const noexcept { return fd_; }
    const std::string& path() const noexcept { return path_; }

private:
    Reactor* reactor_ = nullptr;
    std::int32_t fd_ = -1;
    std::string path_;
};

/// Creates `path`; an existing directory is fine.
Task<Status> make_directory(Reactor& reactor, std::string path);
/// Names in byte order, without "." and "..".
Task<Result<std::vector<std::string>>> list_directory(Reactor& reactor, std::string path);
/// What creates, renames or removes in `path` is durable on return.
Task<Status> sync_directory(Reactor& reactor, std::string path);
Task<Status> rename_file(Reactor& reactor, std::string from, std::string to);
Task<Status> remove_file(Reactor& reactor, std::string path);
Task<Result<FileInfo>> stat_file(Reactor& reactor, std::string path);

/// Reads a whole file of at most `bytes_max`. Error: `too_large`.
Task<Result<std::string>> read_file(Reactor& reactor, std::string path, std::size_t bytes_max);
/// Replaces `path` so that a crash leaves the old or the new content: writes `path`.tmp, syncs it,
/// renames it, syncs the directory.
Task<Status> replace_file(Reactor& reactor, std::string directory, std::string name,
                          std::string content);

}  // namespace kv::io
