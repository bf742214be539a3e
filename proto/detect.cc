#include "proto/detect.h"

namespace kv {

std::optional<Family> Detector::next(std::string_view input) noexcept {
    if (input.empty()) return std::nullopt;
    const char first = input.front();
    if (first >= 0 && first < 0x20 && first != '\r' && first != '\n') return Family::binary;
    if (std::string_view("*+-$:").find(first) != std::string_view::npos) return Family::resp;
    if (lines_ == LineProtocol::text) return Family::text;
    if (lines_ == LineProtocol::resp) return Family::resp;

    const std::size_t end = input.find('\n', scanned_);
    if (end == std::string_view::npos) {
        scanned_ = input.size();
        if (input.size() > inline_bytes_max_) return Family::text;
        return std::nullopt;
    }
    if (end > inline_bytes_max_) return Family::text;
    return end > 0 && input[end - 1] == '\r' ? Family::resp : Family::text;
}

}  // namespace kv
