#include "io/file.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace kv::io {

namespace {

Errc code_of(std::int32_t error) noexcept {
    switch (error) {
        case ENOSPC:
        case EDQUOT: return Errc::no_space;
        case ENOENT: return Errc::not_found;
        case EEXIST: return Errc::exists;
        case EWOULDBLOCK: return Errc::locked;
        case EMFILE:
        case ENFILE:
        case ENOMEM: return Errc::busy;
        case EINVAL:
        case EOPNOTSUPP: return Errc::unsupported;
        case ECANCELED: return Errc::canceled;
        case EPIPE:
        case ECONNRESET: return Errc::closed;
        default: return Errc::io;
    }
}

bool try_again(std::int32_t result) noexcept {
    return result == -EINTR || result == -EAGAIN;
}

Task<Status> path_operation(Reactor& reactor, OpRequest request, const char* action) {
    const std::int32_t result = co_await OpAwaiter(reactor, request);
    if (result < 0) co_return fail(io_error(result, action, request.path));
    co_return Status{};
}

constexpr std::size_t transfer_bytes_max = std::size_t{1} << 30;

}  // namespace

Error io_error(std::int32_t result, std::string_view action, std::string_view path) {
    return Error{code_of(-result),
                 fmt::format("{} {}: {}", action, path, std::generic_category().message(-result))};
}

Task<Result<File>> File::open(Reactor& reactor, std::string path, std::uint32_t open_flags) {
    OpRequest request;
    request.code = OpCode::open;
    request.flags = open_flags;
    request.path = path.c_str();
    const std::int32_t result = co_await OpAwaiter(reactor, request);
    if (result < 0) co_return fail(io_error(result, "open", path));
    File file;
    file.reactor_ = &reactor;
    file.fd_ = result;
    file.path_ = std::move(path);
    co_return file;
}

Task<Result<std::size_t>> File::read_at(std::uint64_t offset, MutableBytes to) const {
    std::size_t done = 0;
    while (done < to.size()) {
        OpRequest request;
        request.code = OpCode::read;
        request.fd = fd_;
        request.offset = offset + done;
        request.data = to.data() + done;
        request.bytes = static_cast<std::uint32_t>(std::min(to.size() - done, transfer_bytes_max));
        const std::int32_t result = co_await OpAwaiter(*reactor_, request);
        if (try_again(result)) continue;
        if (result < 0) co_return fail(io_error(result, "read", path_));
        if (result == 0) break;
        done += static_cast<std::size_t>(result);
    }
    co_return done;
}

Task<Status> File::write_at(std::uint64_t offset, Bytes from, bool dsync) const {
    std::size_t done = 0;
    while (done < from.size()) {
        OpRequest request;
        request.code = OpCode::write;
        request.flags = dsync ? write_dsync : 0u;
        request.fd = fd_;
        request.offset = offset + done;
        request.data = const_cast<std::byte*>(from.data()) + done;
        request.bytes =
            static_cast<std::uint32_t>(std::min(from.size() - done, transfer_bytes_max));
        const std::int32_t result = co_await OpAwaiter(*reactor_, request);
        if (try_again(result)) continue;
        if (result <= 0) co_return fail(io_error(result == 0 ? -ENOSPC : result, "write", path_));
        done += static_cast<std::size_t>(result);
    }
    co_return Status{};
}

Task<Status> File::sync() const {
    OpRequest request;
    request.code = OpCode::sync;
    request.fd = fd_;
    const std::int32_t result = co_await OpAwaiter(*reactor_, request);
    if (result < 0) co_return fail(io_error(result, "sync", path_));
    co_return Status{};
}

Task<Status> File::allocate(std::uint64_t bytes) const {
    OpRequest request;
    request.code = OpCode::allocate;
    request.fd = fd_;
    request.offset = bytes;
    const std::int32_t result = co_await OpAwaiter(*reactor_, request);
    if (result < 0) co_return fail(io_error(result, "allocate", path_));
    co_return Status{};
}

Task<Status> File::punch(std::uint64_t offset, std::uint32_t bytes) const {
    OpRequest request;
    request.code = OpCode::punch;
    request.fd = fd_;
    request.offset = offset;
    request.bytes = bytes;
    const std::int32_t result = co_await OpAwaiter(*reactor_, request);
    if (result < 0) co_return fail(io_error(result, "give back blocks of", path_));
    co_return Status{};
}

Task<Status> File::lock() const {
    OpRequest request;
    request.code = OpCode::lock;
    request.fd = fd_;
    const std::int32_t result = co_await OpAwaiter(*reactor_, request);
    if (result < 0) co_return fail(io_error(result, "lock", path_));
    co_return Status{};
}

Task<void> File::close() {
    if (fd_ < 0) co_return;
    OpRequest request;
    request.code = OpCode::close;
    request.fd = std::exchange(fd_, -1);
    const std::int32_t ignored = co_await OpAwaiter(*reactor_, request);
    static_cast<void>(ignored);  // what had to be durable was synced before
}

Task<Status> make_directory(Reactor& reactor, std::string path) {
    OpRequest request;
    request.code = OpCode::make_directory;
    request.path = path.c_str();
    const std::int32_t result = co_await OpAwaiter(reactor, request);
    if (result < 0 && result != -EEXIST) co_return fail(io_error(result, "make directory", path));
    co_return Status{};
}

Task<Result<std::vector<std::string>>> list_directory(Reactor& reactor, std::string path) {
    std::vector<std::string> names;
    OpRequest request;
    request.code = OpCode::list;
    request.path = path.c_str();
    request.out = &names;
    const std::int32_t result = co_await OpAwaiter(reactor, request);
    if (result < 0) co_return fail(io_error(result, "list", path));
    co_return names;
}

Task<Status> sync_directory(Reactor& reactor, std::string path) {
    auto opened = co_await File::open(reactor, std::move(path), open_directory);
    if (!opened) co_return fail(std::move(opened.error()));
    File directory = *std::move(opened);
    Status synced = co_await directory.sync();
    co_await directory.close();
    co_return synced;
}

Task<Status> rename_file(Reactor& reactor, std::string from, std::string to) {
    OpRequest request;
    request.code = OpCode::rename;
    request.path = from.c_str();
    request.path2 = to.c_str();
    co_return co_await path_operation(reactor, request, "rename");
}

Task<Status> remove_file(Reactor& reactor, std::string path) {
    OpRequest request;
    request.code = OpCode::unlink;
    request.path = path.c_str();
    co_return co_await path_operation(reactor, request, "remove");
}

Task<Result<FileInfo>> stat_file(Reactor& reactor, std::string path) {
    FileInfo info;
    OpRequest request;
    request.code = OpCode::stat;
    request.path = path.c_str();
    request.out = &info;
    const std::int32_t result = co_await OpAwaiter(reactor, request);
    if (result < 0) co_return fail(io_error(result, "stat", path));
    co_return info;
}

Task<Result<std::string>> read_file(Reactor& reactor, std::string path, std::size_t bytes_max) {
    KV_CO_TRY(const FileInfo info, co_await stat_file(reactor, path));
    if (info.bytes > bytes_max) {
        co_return fail(Errc::too_large,
                       fmt::format("{} has {} bytes, more than {}", path, info.bytes, bytes_max));
    }
    KV_CO_TRY(File file, co_await File::open(reactor, path, 0));
    std::string content(static_cast<std::size_t>(info.bytes), '\0');
    const MutableBytes to(reinterpret_cast<std::byte*>(content.data()), content.size());
    Result<std::size_t> read = co_await file.read_at(0, to);
    co_await file.close();
    if (!read) co_return fail(std::move(read.error()));
    content.resize(*read);
    co_return content;
}

Task<Status> replace_file(Reactor& reactor, std::string directory, std::string name,
                          std::string content) {
    const std::string path = directory + "/" + name;
    const std::string temporary = path + ".tmp";
    // A leftover of an earlier crash would keep its tail behind a shorter content.
    Status removed = co_await remove_file(reactor, temporary);
    if (!removed && removed.error().code != Errc::not_found) co_return removed;
    KV_CO_TRY(File file, co_await File::open(reactor, temporary, open_write | open_create));
    const Bytes bytes = as_bytes(content);
    Status status = co_await file.write_at(0, bytes, false);
    if (status) status = co_await file.sync();
    co_await file.close();
    if (status) status = co_await rename_file(reactor, temporary, path);
    if (status) status = co_await sync_directory(reactor, directory);
    co_return status;
}

}  // namespace kv::io
