/* A segment of shared memory is registered, and its program forks and writes. */
#include "common.h"
#include <sys/shm.h>

int main(void)
{
	kernel();
	int segment = must(shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600), "shmget");
	char *buffer = shmat(segment, NULL, 0);
	int fd = ring();
	must(shmctl(segment, IPC_RMID, NULL), "shmctl");
	memset(buffer, 1, PAGE);
	reg(fd, buffer, PAGE);
	pid_t pid = child();
	buffer[0] = 2;
	must(waitpid(pid, NULL, 0), "waitpid");
	unreg(fd);
	must(shmdt(buffer), "shmdt");
	return 0;
}
