// SPDX-License-Identifier: Apache-2.0
//
// Events of any length. Included after `import annals;`.
#pragma once

namespace support {

enum class written_by : bool { annals, others };

// An event of `bytes` bytes, without its newline. Others write its time last, behind everything else.
inline std::string long_line(std::size_t bytes, annals::time_point time, written_by whom) {
  const std::string ts = "\"ts\":\"" + annals::to_string(annals::timestamp{time, annals::precision::seconds}) + "\"";
  const std::string begin = whom == written_by::annals ? "{" + ts + ",\"container\":\"web\",\"action\":\"x\",\"detail\":\""
                                                       : std::string("{\"container\":\"web\",\"action\":\"x\",\"detail\":\"");
  const std::string end = whom == written_by::annals ? "\"}" : "\"," + ts + "}";
  return begin + std::string(bytes - begin.size() - end.size(), 'x') + end;
}

}  // namespace support
