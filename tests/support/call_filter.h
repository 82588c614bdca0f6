// SPDX-License-Identifier: Apache-2.0
//
// A filter of system calls (seccomp), as a hardened unit of systemd or a container has one. For a child of fork(2): it stays.
#pragma once
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <iterator>
#include <vector>

namespace support {

// The calls that systemd calls @resources.
inline const std::vector<int> resource_calls = {
    SYS_ioprio_set,        SYS_mbind,         SYS_migrate_pages,  SYS_move_pages,
    SYS_sched_setaffinity, SYS_sched_setattr, SYS_sched_setparam, SYS_sched_setscheduler,
    SYS_set_mempolicy,     SYS_setpriority,   SYS_setrlimit};

inline bool install(const sock_filter* program, std::size_t count) {
  sock_fprog filter = {static_cast<unsigned short>(count), const_cast<sock_filter*>(program)};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// The process ends with SIGSYS at a call that is listed (or, with `is_allow_list`, at one that is not). False where the system
// has no such filters.
inline bool filter_calls(const std::vector<int>& calls, bool is_allow_list) {
  std::vector<sock_filter> program = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  const unsigned listed = is_allow_list ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS;
  for (const int call : calls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, listed));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, is_allow_list ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ALLOW));
  return install(program.data(), program.size());
}

// Every such call fails with this error.
inline bool refuse_call(int call, unsigned error) {
  const sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  return install(program, std::size(program));
}

// Every openat(2) with O_CREAT fails with EACCES, as for a file of another user where fs.protected_regular is set.
inline bool refuse_creation() {
  const sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),  // the low half, on a little-endian machine
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  return install(program, std::size(program));
}

}  // namespace support
