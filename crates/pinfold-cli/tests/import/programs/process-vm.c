/* A child takes from and writes to its parent's memory while that forks again. */
#include "common.h"

int main(void)
{
	kernel();
	char *buffer = pages(1);
	memset(buffer, 1, PAGE);
	pid_t parent = getpid();
	pid_t helper = must(fork(), "fork");
	if (helper == 0) {
		char own[64];
		struct iovec here = { own, sizeof own };
		struct iovec there = { buffer, sizeof own };
		must(process_vm_readv(parent, &here, 1, &there, 1, 0), "process_vm_readv");
		must(process_vm_writev(parent, &here, 1, &there, 1, 0), "process_vm_writev");
		_exit(0);
	}
	pid_t pid = child();
	buffer[1024] = 2;
	must(waitpid(pid, NULL, 0), "waitpid");
	must(waitpid(helper, NULL, 0), "waitpid");
	return 0;
}
