/* One thread: the read is over when the fork begins. */
#include "common.h"

int main(void)
{
	kernel();
	int fd = direct(O_RDONLY);
	char *buffer = pages(2);
	memset(buffer, 1, 2 * PAGE);
	must(pread(fd, buffer, 512, 0), "pread");
	pid_t pid = child();
	buffer[1024] = 2;
	must(waitpid(pid, NULL, 0), "waitpid");
	must(pread(fd, buffer, 512, 512), "pread");
	return 0;
}
